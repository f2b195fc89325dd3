package opensearchtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"
)

const (
	service    = "es"
	dateFormat = "20060102T150405Z"
	// maxSkew is how far a client's clock may be off
	// (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html).
	maxSkew = 5 * time.Minute
)

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/([\w-]+)/aws4_request, SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})$`)

// authenticate returns the ARN of the role whose credentials signed the request, or AWS's refusal. It signs the request again and
// compares.
func (s *Server) authenticate(r *http.Request, body []byte, now time.Time) (string, *Reply) {
	match := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if match == nil {
		return "", &Reply{http.StatusForbidden, object{"Message": "User: anonymous is not authorized to perform: " + action(r.Method)}}
	}
	refuse := func(format string, args ...any) (string, *Reply) {
		return "", &Reply{http.StatusForbidden, object{"message": fmt.Sprintf(format, args...)}}
	}
	id, region, scope, signedHeaders, signature := match[1], match[3], match[4], strings.Split(match[5], ";"), match[6]
	used, known := s.issued[id]
	if !known || r.Header.Get("X-Amz-Security-Token") != used.sessionToken {
		return refuse("The security token included in the request is invalid.")
	}
	if now.After(used.expires) {
		return refuse("The security token included in the request is expired")
	}
	if region != s.Region || scope != service {
		return refuse("Credential should be scoped to a valid region and service, not '%s' and '%s'.", region, scope)
	}
	date, err := time.Parse(dateFormat, r.Header.Get("X-Amz-Date"))
	if err != nil || now.Sub(date).Abs() > maxSkew {
		return refuse("Signature expired: %q is not within %s of %s", r.Header.Get("X-Amz-Date"), maxSkew, now.UTC().Format(dateFormat))
	}
	hash := hashOf(body)
	if claimed := r.Header.Get("X-Amz-Content-Sha256"); claimed != "" && claimed != hash {
		return refuse("The value of x-amz-content-sha256 does not match the body.")
	}

	canonical := canonical(r, signedHeaders, hash)
	if sign(canonical, used.secretAccessKey, region, date) != signature {
		// AWS repeats what it would have signed, with the session's token:
		// https://github.com/opensearch-project/OpenSearch-Dashboards/issues/9679
		return refuse("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "+
			"and signing method. Consult the service documentation for details.\n\n"+
			"The Canonical String for this request should have been\n'%s'\n", canonical)
	}
	return used.role, nil
}

// canonical is what is signed of a request: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
// It is made here because the SDK's signer leaves out headers that others sign, such as the user agent.
func canonical(r *http.Request, signedHeaders []string, hash string) string {
	var headers strings.Builder
	for _, name := range signedHeaders {
		values := slices.Clone(r.Header.Values(name))
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		for i, value := range values {
			values[i] = strings.Join(strings.Fields(value), " ")
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(values, ","))
	}
	query := r.URL.Query()
	for _, values := range query {
		slices.Sort(values)
	}
	return strings.Join([]string{
		r.Method, httpbinding.EscapePath(r.URL.EscapedPath(), false), strings.ReplaceAll(query.Encode(), "+", "%20"),
		headers.String(), strings.Join(signedHeaders, ";"), hash,
	}, "\n")
}

// sign is the signature of a canonical request, in hexadecimal digits.
func sign(canonical, secret, region string, date time.Time) string {
	day := date.UTC().Format("20060102")
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date.UTC().Format(dateFormat), scope, hashOf([]byte(canonical))}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Send makes a request to the domain as a role would, and returns the answer's status and body. path has the query, too.
func (s *Server) Send(role, method, path string, header http.Header, body []byte) (int, []byte, error) {
	r, err := http.NewRequest(method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header = header.Clone()
	used := s.issue(role, time.Hour)
	if err := v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{
		AccessKeyID: used.accessKeyID, SecretAccessKey: used.secretAccessKey, SessionToken: used.sessionToken,
	}, r, hashOf(body), service, s.Region, time.Now().UTC()); err != nil {
		return 0, nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(s.certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, content, err
}

// Do is Send for a test, with a body in JSON.
func (s *Server) Do(role, method, path, body string) (int, string) {
	s.tb.Helper()
	status, answer, err := s.Send(role, method, path, http.Header{"Content-Type": {"application/json"}}, []byte(body))
	if err != nil {
		s.tb.Fatalf("%s %s: %v", method, path, err)
	}
	return status, string(answer)
}
