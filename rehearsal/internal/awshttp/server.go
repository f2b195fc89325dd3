// Package awshttp puts HTTP before the AWS model, so that programs that use an AWS SDK can be tried against it. It speaks the
// protocols that the services speak: the query protocols with XML, JSON 1.1, REST with JSON, and RPC v2 with CBOR.
//
// It knows the operations in its tables and no others; an unknown one, or a known one with a parameter that its row does not
// name, is refused, so that a test never passes on an invented answer. Signatures must be there and are not verified.
package awshttp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"expense/rehearsal/internal/awsmodel"

	"github.com/fxamacker/cbor/v2"
)

// Fault is an answer that is given instead of the model's.
type Fault struct {
	// Status is the HTTP status, Code and Message are AWS's.
	Status        int
	Code, Message string
	// Times is how often it is given; 0 is always.
	Times int
}

// Faults that AWS gives for reasons that have nothing to do with the request.
var (
	// Denied is what a caller without the permission gets; services differ in the code's spelling, see
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html for EC2's.
	Denied = Fault{Status: 403, Code: "AccessDenied", Message: "User: arn:aws:iam::111122223333:user/reader is not authorized to perform this action"}
	// Throttled is what a caller gets who asks too often.
	Throttled = Fault{Status: 400, Code: "ThrottlingException", Message: "Rate exceeded"}
	// Overloaded is the same in EC2's words.
	Overloaded = Fault{Status: 503, Code: "RequestLimitExceeded", Message: "Request limit exceeded."}
	// Expired is what temporary credentials get at the end of their time.
	Expired = Fault{Status: 403, Code: "ExpiredToken", Message: "The security token included in the request is expired"}
)

// Server answers for one Model. Set its fields before it serves.
type Server struct {
	// Model is the account.
	Model *awsmodel.Model
	// PageSize is the most items that one answer of a list has; 0 is all.
	PageSize int
	Region   Region

	mu     sync.Mutex
	calls  map[string]int
	faults map[string]*Fault
}

// Inject gives a fault for every call of an action, named as in IAM policies: ec2:DescribeVolumes; * is all.
func (s *Server) Inject(action string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults == nil {
		s.faults = map[string]*Fault{}
	}
	s.faults[action] = &fault
}

// Calls counts the calls that came in, by action as in IAM policies, refused ones too.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for action, n := range s.calls {
		out[action] = n
	}
	return out
}

func (s *Server) fault(action string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	s.calls[action]++
	for _, key := range []string{action, "*"} {
		f := s.faults[key]
		if f == nil {
			continue
		}
		out := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				delete(s.faults, key)
			}
		}
		return &out
	}
	return nil
}

// call is one request.
type call struct {
	*Server
	// service is the signing name, with 2 appended for the second generation of Elastic Load Balancing.
	service, operation, region string
	// form holds the parameters of the query protocols, body those of the others.
	form url.Values
	body map[string]any
}

// obj and list are answers before they are encoded.
type (
	obj  = map[string]any
	list = []any
)

// operation is a row of the table.
type operation struct {
	// params are the parameters that the row reads, beside those of paging; lists by their name without numbers.
	params string
	// list is the member of the answer that is paged.
	list string
	run  func(c *call) (obj, error)
}

// service is what the operations of one service have in common.
type service struct {
	// action is the service's prefix in IAM policies, if it is not the signing name.
	action string
	// protocol encodes answers.
	protocol protocol
	// next and token are the members with the next page's token, in requests and in answers.
	next, token string
	// more is a member of the answer that tells whether there is another page, if there is one.
	more       string
	operations map[string]operation
}

type protocol int

const (
	ec2Query protocol = iota
	awsQuery
	json11
	restJSON
	cborRPC
)

// credential is the scope in a signature: key, date, region and service
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html).
var credential = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, SignedHeaders=[^,]*host[^,]*, Signature=[0-9a-f]{64}$`)

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scope := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if scope == nil {
		http.Error(w, "request is not signed", http.StatusForbidden)
		return
	}
	c := &call{Server: s, region: scope[1], service: scope[2]}
	if err := c.read(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	service, known := services[c.service]
	op, answered := service.operations[c.operation]
	if !known || !answered {
		http.Error(w, fmt.Sprintf("the endpoint does not know %s %s", c.service, c.operation), http.StatusNotImplemented)
		return
	}
	prefix := service.action
	if prefix == "" {
		prefix = strings.TrimSuffix(c.service, "2")
		if c.service == "ec2" {
			prefix = "ec2"
		}
	}
	var answer obj
	err := c.unknown(service, op)
	if f := s.fault(prefix + ":" + c.operation); f != nil {
		err = &awsmodel.APIError{Status: f.Status, Code: f.Code, Message: f.Message}
	}
	if err == nil {
		answer, err = op.run(c)
	}
	if err == nil && op.list != "" {
		err = c.page(service, op, answer)
	}
	service.protocol.write(w, c.operation, answer, err)
}

// read finds out the operation and its parameters.
func (c *call) read(r *http.Request) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	target := r.Header.Get("X-Amz-Target")
	rpc := regexp.MustCompile(`^/service/[^/]+/operation/([^/]+)$`).FindStringSubmatch(r.URL.Path)
	switch {
	case rpc != nil:
		c.operation = rpc[1]
		return cbor.Unmarshal(data, &c.body)
	case target != "":
		c.operation = target[strings.LastIndex(target, ".")+1:]
		return json.Unmarshal(data, &c.body)
	case r.Header.Get("Content-Type") == "application/x-www-form-urlencoded":
		if c.form, err = url.ParseQuery(string(data)); err != nil {
			return err
		}
		c.operation = c.form.Get("Action")
		if c.service == "elasticloadbalancing" && c.form.Get("Version") == "2015-12-01" {
			c.service += "2"
		}
		return nil
	}
	return c.route(r, data)
}

// route finds the operation of a REST request.
func (c *call) route(r *http.Request, data []byte) error {
	for _, route := range routes {
		match := route.path.FindStringSubmatch(r.URL.EscapedPath())
		if route.service != c.service || route.method != r.Method || match == nil {
			continue
		}
		c.operation, c.body = route.operation, obj{}
		if len(data) > 0 {
			if err := json.Unmarshal(data, &c.body); err != nil {
				return err
			}
		}
		for key, values := range r.URL.Query() {
			c.body[key] = values[0]
		}
		for i, name := range route.path.SubexpNames() {
			if name == "" {
				continue
			}
			value, err := url.PathUnescape(match[i])
			if err != nil {
				return err
			}
			c.body[name] = value
		}
		return nil
	}
	return fmt.Errorf("the endpoint does not know %s %s of %s", r.Method, r.URL.Path, c.service)
}

// paging are the members that ask for a page's size.
var paging = []string{"Action", "Version", "MaxResults", "maxResults", "MaxRecords", "PageSize", "MaxItems", "Limit", "limit", "ResourcesPerPage"}

// unknown refuses what the row does not read.
func (c *call) unknown(s service, op operation) error {
	known := append(strings.Fields(op.params), append(paging, s.next)...)
	var names []string
	for key := range c.form {
		name, _, _ := strings.Cut(key, ".")
		names = append(names, name)
	}
	for key := range c.body {
		names = append(names, key)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return &awsmodel.APIError{Status: 501, Code: "NotImplemented", Message: fmt.Sprintf("the endpoint does not read %s of %s", name, c.operation)}
		}
	}
	return nil
}

// text reads a parameter.
func (c *call) text(name string) string {
	if c.form != nil {
		return c.form.Get(name)
	}
	switch v := c.body[name].(type) {
	case string:
		return v
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// texts reads a list.
func (c *call) texts(name string) []string {
	var out []string
	if c.form == nil {
		values, _ := c.body[name].([]any)
		for _, v := range values {
			out = append(out, fmt.Sprint(v))
		}
		return out
	}
	for i := 1; ; i++ {
		key := fmt.Sprintf("%s.%d", name, i)
		if !c.form.Has(key) {
			key = fmt.Sprintf("%s.member.%d", name, i)
		}
		if !c.form.Has(key) {
			return out
		}
		out = append(out, c.form.Get(key))
	}
}

// page cuts the answer's list down to the page that was asked for.
func (c *call) page(s service, op operation, answer obj) error {
	all, _ := answer[op.list].(list)
	from := 0
	if token := c.text(s.next); token != "" {
		if _, err := fmt.Sscanf(token, "from-%d", &from); err != nil || from > len(all) {
			return &awsmodel.APIError{Status: 400, Code: "InvalidNextToken", Message: "The token is not valid."}
		}
	}
	to := len(all)
	if s.more != "" {
		answer[s.more] = false
	}
	if c.PageSize > 0 && from+c.PageSize < to {
		to = from + c.PageSize
		answer[s.token] = fmt.Sprintf("from-%d", to)
		if s.more != "" {
			answer[s.more] = true
		}
	}
	answer[op.list] = all[from:to]
	return nil
}
