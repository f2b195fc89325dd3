package awsmodel

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// APIError is an answer of AWS that refuses a request. Its text has the form in which the AWS SDK for Go v2, and so the
// real provider, prints it: "operation error EC2: CreateSubnet, https response error StatusCode: 400, RequestID: ...,
// api error InvalidSubnet.Conflict: ...".
type APIError struct {
	// Service is the SDK's service ID, for example EC2 or EKS.
	Service string
	// Operation is the API call, for example CreateSubnet.
	Operation string
	// Status is the HTTP status code.
	Status int
	// Code is AWS's error code, for example InvalidSubnet.Conflict.
	Code string
	// Message is AWS's sentence.
	Message string
	// Attempts is how often the request was sent before the SDK gave up; 0 if the first answer was final.
	Attempts int
}

// Error gives the SDK's text.
func (e *APIError) Error() string {
	sum := sha256.Sum256([]byte(e.Service + e.Operation + e.Code + e.Message))
	// Errors that the service's API model declares are printed by their type's name; the others, all of EC2's among
	// them, as a generic "api error".
	generic := ""
	if e.Service == "EC2" || e.Code == "ValidationError" || e.Code == "ValidationException" && e.Service != "OpenSearch" {
		generic = "api error "
	}
	gaveUp := ""
	if e.Attempts > 0 { // retry.MaxAttemptsError's words
		gaveUp = fmt.Sprintf("exceeded maximum number of attempts, %d, ", e.Attempts)
	}
	return fmt.Sprintf("operation error %s: %s, %shttps response error StatusCode: %d, RequestID: %x-%x-%x-%x-%x, %s%s: %s",
		e.Service, e.Operation, gaveUp, e.Status, sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16], generic, e.Code, e.Message)
}

// Code gives the AWS error code inside err, or "" if err is no answer of AWS.
func Code(err error) string {
	var api *APIError
	if errors.As(err, &api) {
		return api.Code
	}
	return ""
}

// refuse is the error a rule returns; the life cycle fills in service and operation, which the rule's row knows.
func refuse(code, format string, args ...any) error {
	return &APIError{Status: 400, Code: code, Message: fmt.Sprintf(format, args...)}
}
