// Package record keeps what AWS really answered about a stack, without a name of it, beside what the model answers for the same settings.
// What differs comes first. An accepted record is a fixture: a fact that was seen once, which the model may not contradict again.
//
// Nobody has made one in an account yet: the tests record the program in front of the model.
package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/state"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Side is a stack that a record is made of: in an account, or in front of the model.
type Side struct {
	// AWS has the credentials and the region.
	AWS aws.Config
	// InAccount tells that AWS is AWS: otherwise it is the rehearsal's model.
	InAccount bool
	State     apitype.DeploymentV3
	Settings  *config.Config
	// Project is the folder of the program whose words are public.
	Project string
	// Logs are event logs of the engine.
	Logs []Log
}

// Account is the account's ID.
func (s Side) Account() string { return accountOf(s.State.Resources) }

// Record is what was seen of a stack. It holds no real name, ID or address.
type Record struct {
	Header     Header      `json:"header"`
	Things     []Thing     `json:"-"` // a file for each type
	Operations []Operation `json:"operations,omitempty"`
	Failures   []Failure   `json:"failures,omitempty"`
	// Whole tells that it goes on after destroy.
	Whole bool `json:"whole,omitempty"`
}

// Header tells under which circumstances it was seen.
type Header struct {
	// Date is the day. Region is no secret.
	Date   string `json:"date"`
	Region string `json:"region"`
	// Target is what it was recorded of.
	Target Target `json:"target"`
	// Versions are those of the providers, of Kubernetes, of EKS's platform and of OpenSearch.
	Versions map[string]string `json:"versions"`
}

// Target is what answered: an account of AWS, or the rehearsal.
type Target string

const (
	AnAccount    Target = "an account"
	TheRehearsal Target = "the rehearsal"
)

func (s Side) target() Target {
	if s.InAccount {
		return AnAccount
	}
	return TheRehearsal
}

// Thing is what AWS answered about one resource.
type Thing struct {
	Type string `json:"type"`
	// Name is the name in the program, ID the provider's ID.
	Name string `json:"name"`
	ID   string `json:"id"`
	// Answer has the members of all answers, Calls the call that each is from.
	Answer map[string]any    `json:"answer,omitempty"`
	Calls  map[string]string `json:"calls,omitempty"`
	// Unseen are calls that gave no answer, each with the reason.
	Unseen []string `json:"unseen,omitempty"`
}

func (t Thing) key() string { return t.Type + " " + t.Name }

// Make asks AWS about each resource of the state, and masks the answers.
func Make(ctx context.Context, side Side, day time.Time) (*Record, error) {
	p, err := readPublic(side.Project)
	if err != nil {
		return nil, err
	}
	m := newMask(p, side.Settings, ofAWS(side.State))
	r := &Record{Header: Header{
		Date: day.UTC().Format(time.DateOnly), Region: side.Settings.Region, Target: side.target(), Versions: versions(side.State),
	}}
	asker := newAsker(side.AWS)
	for _, resource := range ofAWS(side.State) {
		if _, shown := parts[string(resource.Type)]; shown {
			continue
		}
		answer, calls, unseen := asker.answers(ctx, thing{resource}, m)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if looks[string(resource.Type)] == nil {
			unseen = append(unseen, "no call is known for the type: it belongs into rehearsal/ops/record/look.go")
		}
		if endpoint, _ := answer["Endpoint"].(string); strings.HasPrefix(endpoint, "https://127.0.0.1:") {
			// A rehearsal's API server is on this machine, and says nothing about AWS.
			delete(answer, "Endpoint")
			delete(answer, "CertificateAuthority")
		}
		r.Header.note(string(resource.Type), answer)
		covered, _ := m.value(answer).(map[string]any)
		r.Things = append(r.Things, Thing{
			Type: string(resource.Type), Name: m.text(resource.URN.Name()), ID: m.text(string(resource.ID)), Answer: covered, Calls: calls,
			Unseen: unseen,
		})
	}
	slices.SortStableFunc(r.Things, func(a, b Thing) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(bare(a.Name), bare(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for _, log := range side.Logs {
		operations, failures, err := readLog(log, side.State, m)
		if err != nil {
			return nil, err
		}
		r.Operations, r.Failures = append(r.Operations, operations...), append(r.Failures, failures...)
	}
	r.number(m)
	return r, nil
}

// Add adds what later commands did, of the resources that the side's state had before. Nothing is asked of AWS.
func (r *Record) Add(side Side) error {
	if target := side.target(); target != r.Header.Target {
		return fmt.Errorf("the record is of %q, and what to add is of %q", r.Header.Target, target)
	}
	if r.Whole {
		return errors.New("the record has what came after destroy already")
	}
	r.Whole = true
	p, err := readPublic(side.Project)
	if err != nil {
		return err
	}
	m := newMask(p, side.Settings, ofAWS(side.State))
	for _, log := range side.Logs {
		operations, failures, err := readLog(log, side.State, m)
		if err != nil {
			return err
		}
		for _, o := range operations {
			o.Name = bare(o.Name) // a number would be another one's
			r.Operations = append(r.Operations, o)
		}
		for _, f := range failures {
			f.Name, f.Text = bare(f.Name), bare(f.Text)
			r.Failures = append(r.Failures, f)
		}
	}
	return nil
}

// number numbers what is masked: names first, so that they do not depend on answers.
func (r *Record) number(m *mask) {
	text := func(s *string) { *s, _ = m.number(*s).(string) }
	for i := range r.Things {
		text(&r.Things[i].Name)
	}
	for i := range r.Things {
		text(&r.Things[i].ID)
	}
	for i := range r.Things {
		t := &r.Things[i]
		t.Answer, _ = m.number(t.Answer).(map[string]any)
		for j := range t.Unseen {
			text(&t.Unseen[j])
		}
	}
	for i := range r.Operations {
		text(&r.Operations[i].Name)
	}
	for i := range r.Failures {
		text(&r.Failures[i].Name)
		text(&r.Failures[i].Text)
	}
}

// ofAWS are the resources that are AWS's.
func ofAWS(deployment apitype.DeploymentV3) []apitype.ResourceV3 {
	return slices.DeleteFunc(slices.Clone(deployment.Resources), func(r apitype.ResourceV3) bool {
		return !r.Custom || r.Delete || !strings.HasPrefix(string(r.Type), "aws:")
	})
}

// versions are those of the providers.
func versions(deployment apitype.DeploymentV3) map[string]string {
	out := map[string]string{}
	for _, r := range deployment.Resources {
		if name, is := strings.CutPrefix(string(r.Type), "pulumi:providers:"); is {
			if version, _ := state.At(r.Inputs, "version").(string); version != "" {
				out[name] = version
			}
		}
	}
	return out
}

// note keeps versions that AWS names.
func (h *Header) note(typ string, answer map[string]any) {
	for name, from := range map[string]struct{ typ, member string }{
		"kubernetes":   {"aws:eks/cluster:Cluster", "Version"},
		"eks platform": {"aws:eks/cluster:Cluster", "PlatformVersion"},
		"opensearch":   {"aws:opensearch/domain:Domain", "EngineVersion"},
	} {
		if version, _ := answer[from.member].(string); typ == from.typ && version != "" {
			h.Versions[name] = version
		}
	}
}
