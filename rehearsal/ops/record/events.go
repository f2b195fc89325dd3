package record

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/estimate"
	"expense/rehearsal/internal/state"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Log is the event log of one command.
type Log struct {
	// Name is the file's.
	Name   string
	Events io.Reader
}

// Operation is one thing that the engine did. Its time is of one run, in whole seconds: approximate.
type Operation struct {
	Verb    string `json:"verb"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Seconds int    `json:"seconds"`
	// Model is what the model takes for it, -1 if it does not know.
	Model int `json:"model"`
}

// Failure is one error of an operation.
type Failure struct {
	Verb string `json:"verb"`
	Type string `json:"type"`
	Name string `json:"name"`
	// Operation and Code are AWS's, "" if the error is no answer of AWS. Texts change on AWS's side.
	Operation string `json:"operation,omitempty"`
	Code      string `json:"code,omitempty"`
	Text      string `json:"text"`
}

// verbs are the engine's steps of which times are kept.
var verbs = map[apitype.OpType]string{
	apitype.OpCreate: "create", apitype.OpCreateReplacement: "create", apitype.OpUpdate: "update",
	apitype.OpDelete: "delete", apitype.OpDeleteReplaced: "delete",
}

// answer finds an answer of AWS in the provider's words: "operation error EKS: CreateCluster, ..., InvalidParameterException: text" and
// "api error NoSuchEntity: text" (aws-sdk-go-v2 and smithy-go, OperationError and GenericAPIError).
var (
	operationError = regexp.MustCompile(`operation error ([\w ]+): (\w+),`)
	apiError       = regexp.MustCompile(`(?:api error |RequestID: [\w-]+, )([\w.]+): `)
	requestID      = regexp.MustCompile(`(?i)(request ?id:? )[\w-]+`)
)

// readLog reads the operations of a command and their errors. Names and texts are masked.
func readLog(log Log, deployment apitype.DeploymentV3, m *mask) (operations []Operation, failures []Failure, err error) {
	type step struct {
		verb  string
		began int
	}
	under, failed := map[string]step{}, map[string]string{}
	errorsOf := map[string][]string{}
	finished := false
	model := modelTimes(deployment)
	for event, err := range state.Events(log.Events) {
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", log.Name, err)
		}
		switch {
		case event.ResourcePreEvent != nil && !event.ResourcePreEvent.Planning:
			s := event.ResourcePreEvent.Metadata
			if verb := verbs[s.Op]; verb != "" {
				under[s.URN+" "+verb] = step{verb, event.Timestamp}
			}
		case event.ResOutputsEvent != nil && !event.ResOutputsEvent.Planning:
			done := event.ResOutputsEvent.Metadata
			began, known := under[done.URN+" "+verbs[done.Op]]
			custom := done.New != nil && done.New.Custom || done.Old != nil && done.Old.Custom
			if !known || !custom || strings.HasPrefix(done.Type, "pulumi:") {
				continue
			}
			operations = append(operations, Operation{
				Verb: began.verb, Type: done.Type, Name: m.text(resource.URN(done.URN).Name()), Seconds: event.Timestamp - began.began,
				Model: model(began.verb, done.URN, done.Type),
			})
		case event.ResOpFailedEvent != nil:
			step := event.ResOpFailedEvent.Metadata
			failed[step.URN] = cmp.Or(verbs[step.Op], string(step.Op))
		case event.DiagnosticEvent != nil && event.DiagnosticEvent.Severity == "error":
			d := event.DiagnosticEvent
			errorsOf[d.URN] = append(errorsOf[d.URN], colors.Never.Colorize(strings.TrimSpace(d.Message)))
		case event.SummaryEvent != nil:
			finished = true
		}
	}
	if !finished {
		failures = append(failures, Failure{Text: "the log has no end: the command was killed"})
	}
	for urn, texts := range errorsOf {
		for _, text := range texts {
			f := Failure{Verb: failed[urn], Text: m.prose(requestID.ReplaceAllString(text, "${1}none"))}
			if urn != "" {
				f.Type, f.Name = string(resource.URN(urn).Type()), m.text(resource.URN(urn).Name())
			}
			if found := operationError.FindStringSubmatch(text); found != nil {
				f.Operation = found[1] + " " + found[2]
			}
			if found := apiError.FindStringSubmatch(text); found != nil {
				f.Code = found[1]
			}
			failures = append(failures, f)
		}
	}
	slices.SortStableFunc(operations, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Type, b.Type), cmp.Compare(bare(a.Name), bare(b.Name)))
	})
	slices.SortStableFunc(failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(bare(a.Name), bare(b.Name)), cmp.Compare(bare(a.Text), bare(b.Text)))
	})
	return operations, failures, nil
}

// modelTimes gives the model's seconds of an operation, -1 if it has none.
func modelTimes(deployment apitype.DeploymentV3) func(verb, urn, typ string) int {
	resources := estimate.FromState(deployment)
	times := map[string]int{}
	for _, o := range append(estimate.Up(resources).Operations, estimate.Destroy(resources).Operations...) {
		times[o.Verb+" "+o.URN] = int(math.Round((o.End - o.Start).Seconds()))
	}
	return func(verb, urn, typ string) int {
		if seconds, known := times[verb+" "+urn]; known {
			return seconds
		}
		if create, update, remove, known := awsmodel.Typical(typ); known {
			switch verb {
			case "create":
				return int(create.Seconds())
			case "update":
				return int(update.Seconds())
			}
			return int(remove.Seconds())
		}
		return -1
	}
}

const (
	// factor and margin say when a time differs: beyond both. They are judgement: one run is one sample, and people's logs spread as widely.
	factor = 3
	margin = 60
)

// times compares how long operations took.
func (c *comparer) times(operations []Operation, both map[string]bool) {
	for _, o := range operations {
		if o.Model < 0 {
			continue
		}
		c.out.Compared++
		both[o.Type] = true
		slower, faster := max(o.Seconds, o.Model), min(o.Seconds, o.Model)
		if slower > factor*faster && slower-faster > margin {
			c.differ(Thing{Type: o.Type, Name: o.Name}, "("+o.Verb+")", "event log, approximate", seconds(o.Model), seconds(o.Seconds))
		}
	}
}

func seconds(n int) string { return fmt.Sprintf("%d s", n) }
