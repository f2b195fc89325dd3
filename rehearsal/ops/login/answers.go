package login

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/aws/smithy-go"
)

// All gives the members of all pages of a list; with an error, those of the pages before it.
func All[Page, Option, Member any](ctx context.Context, list interface {
	HasMorePages() bool
	NextPage(ctx context.Context, options ...Option) (Page, error)
}, members func(Page) []Member) (all []Member, err error) {
	for list.HasMorePages() {
		page, err := list.NextPage(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, members(page)...)
	}
	return all, nil
}

// Tags makes a map of a service's list of tags: structs with Key and Value, or with TagKey and TagValue.
func Tags[Tag any](tags []Tag) map[string]string {
	out := map[string]string{}
	for _, tag := range tags {
		member := func(name string) string {
			field := reflect.ValueOf(tag).FieldByName(name)
			if !field.IsValid() {
				field = reflect.ValueOf(tag).FieldByName("Tag" + name)
			}
			return reflect.Indirect(field).String()
		}
		out[member("Key")] = member("Value")
	}
	return out
}

// Code is AWS's error code, "" for an error that is no answer of AWS.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Missing tells that AWS has no such thing. Services differ in the code: NoSuchEntity, NotFoundException,
// ResourceNotFoundException, InvalidVolume.NotFound.
func Missing(err error) bool {
	code := Code(err)
	return strings.Contains(code, "NotFound") || strings.HasPrefix(code, "NoSuch")
}
