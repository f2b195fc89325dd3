// Package awsapi answers the calls of AWS's SDK from the model of AWS, so that programs that use the SDK can be tried against it. A step
// of the SDK's own middleware takes the typed input of an operation and returns its typed output in place of the exchange over HTTP. The
// rest of a call is the SDK's: retries, endpoint and signature.
//
// It knows the operations in its rows. Any other is refused, and so is a member of an input that the row does not read: no test may pass
// on an invented answer.
package awsapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Fault is an error that is answered in place of the model's answer.
type Fault struct {
	Code, Message string
	// Times is how often it is answered; 0 is always.
	Times int
}

// Faults that AWS answers for reasons that lie outside of the request.
var (
	// Denied is the answer to a caller without the permission. The services spell the code differently, see
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html for EC2.
	Denied = Fault{Code: "AccessDenied", Message: "User: arn:aws:iam::111122223333:user/reader is not authorized to perform this action"}
	// Throttled is the answer to a caller with too many requests, Overloaded the same in EC2's words.
	Throttled  = Fault{Code: "ThrottlingException", Message: "Rate exceeded"}
	Overloaded = Fault{Code: "RequestLimitExceeded", Message: "Request limit exceeded."}
	// Expired is the answer to temporary credentials after their time.
	Expired = Fault{Code: "ExpiredToken", Message: "The security token included in the request is expired"}
)

// API answers for one account. Set its fields before the first call.
type API struct {
	Model *awsmodel.Model
	// PageSize is the largest number of items in one answer; 0 is all.
	PageSize int
	Region   Region

	mu     sync.Mutex
	calls  map[string]int
	faults map[string]*Fault
}

// Config makes clients whose calls are answered here. They make four attempts without a pause.
func (a *API) Config() aws.Config {
	return aws.Config{
		Region: a.Model.Region(), Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		APIOptions: []func(*middleware.Stack) error{a.attach},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.RateLimiter = 4, ratelimit.None
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

// attach puts the answer before the SDK's reading of a response, inside of its retries.
func (a *API) attach(stack *middleware.Stack) error {
	type input struct{}
	keep := middleware.InitializeMiddlewareFunc("KeepInput", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(middleware.WithStackValue(ctx, input{}, in.Parameters), in)
	})
	answer := middleware.DeserializeMiddlewareFunc("AnswerFromModel", func(
		ctx context.Context, in middleware.DeserializeInput, _ middleware.DeserializeHandler,
	) (out middleware.DeserializeOutput, metadata middleware.Metadata, err error) {
		if request, ok := in.Request.(*smithyhttp.Request); !ok || request.Header.Get("Authorization") == "" {
			return out, metadata, errors.New("the request is not signed")
		}
		out.Result, err = a.answer(middleware.GetStackValue(ctx, input{}))
		return out, metadata, err
	})
	return errors.Join(stack.Initialize.Add(keep, middleware.Before), stack.Deserialize.Add(answer, middleware.Before))
}

// Inject answers every call of an action with a fault. Actions have the names of IAM policies: ec2:DescribeVolumes; * is all.
func (a *API) Inject(action string, fault Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults == nil {
		a.faults = map[string]*Fault{}
	}
	a.faults[action] = &fault
}

// Calls counts the calls by action, refused ones too.
func (a *API) Calls() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.calls)
}

// count counts a call and gives the fault that is its answer, nil if the model answers.
func (a *API) count(action string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls == nil {
		a.calls = map[string]int{}
	}
	a.calls[action]++
	for _, key := range []string{action, "*"} {
		if f := a.faults[key]; f != nil {
			if f.Times--; f.Times == 0 {
				delete(a.faults, key)
			}
			return &smithy.GenericAPIError{Code: f.Code, Message: f.Message}
		}
	}
	return nil
}

// row is one operation.
type row struct {
	in, out reflect.Type
	run     func(c *call) (obj, error)
}

// obj and list are parts of an answer before it has its type.
type (
	obj  = map[string]any
	list = []any
)

// on is the row of a client's method.
func on[Client, In, Option, Out any](
	_ func(Client, context.Context, *In, ...Option) (*Out, error), run func(c *call) (obj, error),
) row {
	return row{reflect.TypeFor[In](), reflect.TypeFor[Out](), run}
}

// rows are by the type of their input.
var rows = func() map[reflect.Type]row {
	all := map[reflect.Type]row{}
	for _, some := range [][]row{ec2Rows, balancerRows, identityRows, clusterRows, regionRows, otherRows, registryRows, recordRows} {
		for _, r := range some {
			all[r.in] = r
		}
	}
	return all
}()

func (r row) service() string   { return path.Base(r.in.PkgPath()) }
func (r row) operation() string { return strings.TrimSuffix(r.in.Name(), "Input") }

// prefixes are those of IAM's actions where the SDK's package has another name.
var prefixes = map[string]string{
	"cloudwatchlogs": "logs", "elasticloadbalancingv2": "elasticloadbalancing", "opensearch": "es", "resourcegroupstaggingapi": "tag",
}

func (r row) action() string { return cmp.Or(prefixes[r.service()], r.service()) + ":" + r.operation() }

// call is one call of an operation.
type call struct {
	*API
	row
	// input holds the members that are set, read those that the row has looked at.
	input map[string]any
	read  map[string]bool
}

func (a *API) answer(input any) (any, error) {
	value := reflect.ValueOf(input).Elem()
	r, known := rows[value.Type()]
	if !known {
		return nil, fmt.Errorf("the model does not know %s", value.Type())
	}
	if err := a.count(r.action()); err != nil {
		return nil, err
	}
	members := map[string]any{}
	for i := range value.NumField() {
		if field := value.Type().Field(i); field.IsExported() && !value.Field(i).IsZero() {
			members[field.Name] = value.Field(i).Interface()
		}
	}
	return a.do(r, members)
}

// do gives the typed answer to a call, or the error that the SDK makes of one.
func (a *API) do(r row, input map[string]any) (any, error) {
	c := &call{a, r, input, map[string]bool{}}
	answer, err := r.run(c)
	if err == nil {
		err = c.page(answer)
	}
	for name := range input {
		if !c.read[name] {
			return nil, fmt.Errorf("the model does not read %s of %s", name, r.operation())
		}
	}
	if refused := (*awsmodel.APIError)(nil); errors.As(err, &refused) {
		return nil, &smithy.GenericAPIError{Code: refused.Code, Message: refused.Message}
	}
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	out, decoder := reflect.New(r.out).Interface(), json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(out); err != nil {
		return nil, fmt.Errorf("%s: %w", r.operation(), err)
	}
	return out, nil
}

// text reads a member of the input, "" if it is not set.
func (c *call) text(name string) string {
	c.read[name] = true
	value, set := c.input[name]
	if !set {
		return ""
	}
	return fmt.Sprint(reflect.Indirect(reflect.ValueOf(value)))
}

// texts reads a list.
func (c *call) texts(name string) (out []string) {
	c.read[name] = true
	switch value := reflect.ValueOf(c.input[name]); value.Kind() {
	case reflect.String:
		return []string{value.String()}
	case reflect.Slice:
		for i := range value.Len() {
			out = append(out, value.Index(i).String())
		}
	}
	return out
}

// filters reads EC2's filters.
func (c *call) filters() []types.Filter {
	c.read["Filters"] = true
	filters, _ := c.input["Filters"].([]types.Filter)
	return filters
}

// filter reads the values of EC2's filters, which must be one of this name.
func (c *call) filter(name string) ([]string, error) {
	if filters := c.filters(); len(filters) == 1 && aws.ToString(filters[0].Name) == name {
		return filters[0].Values, nil
	}
	return nil, refuse("InvalidParameterValue", "the model filters by one %s", name)
}

// page cuts the answer's list down to the page that the call asks for, if the operation has pages.
func (c *call) page(answer obj) error {
	from, asked := 0, cmp.Or(c.text("NextToken"), c.text("Marker"), c.text("PaginationToken"), "from-0")
	next, paged := c.member("NextToken", "NextMarker", "Marker", "PaginationToken")
	name, all := c.list(answer)
	if !paged || c.PageSize == 0 {
		return nil
	}
	if _, err := fmt.Sscanf(asked, "from-%d", &from); err != nil || from > len(all) {
		return refuse("InvalidNextToken", "The token is not valid.")
	}
	to := min(from+c.PageSize, len(all))
	if answer[name] = all[from:to]; to < len(all) {
		answer[next] = fmt.Sprintf("from-%d", to)
	}
	if more, has := c.member("IsTruncated", "Truncated"); has {
		answer[more] = to < len(all)
	}
	return nil
}

// list gives the name of the output's list and what an answer has in it.
func (c *call) list(answer obj) (name string, all list) {
	for i := range c.out.NumField() {
		if field := c.out.Field(i); field.Type.Kind() == reflect.Slice {
			all, _ = answer[field.Name].(list)
			return field.Name, all
		}
	}
	return "", nil
}

// member gives the first of the names that the output has.
func (c *call) member(names ...string) (string, bool) {
	for _, name := range names {
		if _, has := c.out.FieldByName(name); has {
			return name, true
		}
	}
	return "", false
}

func refuse(code, format string, args ...any) error {
	return &awsmodel.APIError{Code: code, Message: fmt.Sprintf(format, args...)}
}
