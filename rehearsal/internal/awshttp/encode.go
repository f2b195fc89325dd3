package awshttp

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/fxamacker/cbor/v2"
)

// requestID is the same in every answer: nothing depends on it.
const requestID = "00000000-0000-4000-8000-000000000000"

// write encodes an answer, or an error, as the service's protocol wants it.
//
// The protocols: https://smithy.io/2.0/aws/protocols/index.html and https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
func (p protocol) write(w http.ResponseWriter, operation string, answer obj, err error) {
	if err != nil {
		p.refuse(w, err)
		return
	}
	switch p {
	case ec2Query:
		answer["requestId"] = requestID
		send(w, "text/xml", http.StatusOK, xmlOf(operation+"Response", answer, "item"))
	case awsQuery:
		send(w, "text/xml", http.StatusOK, "<"+operation+"Response>"+xmlOf(operation+"Result", answer, "member")+"</"+operation+"Response>")
	case json11:
		sendJSON(w, "application/x-amz-json-1.1", http.StatusOK, answer)
	case restJSON:
		sendJSON(w, "application/json", http.StatusOK, answer)
	case cborRPC:
		sendCBOR(w, http.StatusOK, answer)
	}
}

func (p protocol) refuse(w http.ResponseWriter, err error) {
	var api *awsmodel.APIError
	if !errors.As(err, &api) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	switch p {
	case ec2Query:
		send(w, "text/xml", api.Status, xmlOf("Response", obj{"Errors": list{obj{"Code": api.Code, "Message": api.Message}}, "RequestID": requestID}, "Error"))
	case awsQuery:
		send(w, "text/xml", api.Status, xmlOf("ErrorResponse", obj{"Error": obj{"Type": "Sender", "Code": api.Code, "Message": api.Message}, "RequestId": requestID}, "member"))
	case json11:
		sendJSON(w, "application/x-amz-json-1.1", api.Status, obj{"__type": api.Code, "message": api.Message})
	case restJSON:
		w.Header().Set("X-Amzn-Errortype", api.Code)
		sendJSON(w, "application/json", api.Status, obj{"message": api.Message})
	case cborRPC:
		sendCBOR(w, api.Status, obj{"__type": api.Code, "message": api.Message})
	}
}

func send(w http.ResponseWriter, contentType string, status int, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func sendJSON(w http.ResponseWriter, contentType string, status int, answer obj) {
	data, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, contentType, status, string(data))
}

func sendCBOR(w http.ResponseWriter, status int, answer obj) {
	data, err := cbor.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	send(w, "application/cbor", status, string(data))
}

// xmlOf writes a value as an element; a list's items are elements of the name item.
func xmlOf(name string, value any, item string) string {
	var b strings.Builder
	b.WriteString("<" + name + ">")
	switch v := value.(type) {
	case obj:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(xmlOf(key, v[key], item))
		}
	case list:
		for _, e := range v {
			b.WriteString(xmlOf(item, e, item))
		}
	default:
		_ = xml.EscapeText(&b, []byte(fmt.Sprint(v)))
	}
	b.WriteString("</" + name + ">")
	return b.String()
}
