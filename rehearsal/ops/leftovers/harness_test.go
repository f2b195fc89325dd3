package leftovers

import (
	"context"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/require"
)

// account is an AWS account.
type account struct {
	model *awsmodel.Model
	api   *awsapi.API
}

func newAccount() *account { return behind(awsmodel.New(awsmodel.Options{})) }

// behind has two items in a page, so that only a search through all pages finds everything.
func behind(model *awsmodel.Model) *account {
	return &account{model, &awsapi.API{Model: model, PageSize: 2}}
}

var dev = Stack{Name: "dev", Region: "us-east-1", Cluster: "expense", Domain: "expense"}

// prices are made up.
func prices(key string) (float64, bool) {
	usd, ok := map[string]float64{"ec2.nat": 365, "ebs.gp3": 0.25, "kms.key": 1, "elb.network": 73}[key]
	return usd, ok
}

// options look at the account for the stack dev, whose state is empty.
func (a *account) options() Options {
	return Options{Config: a.api.Config(), Stack: dev, State: &State{}, Price: prices}
}

func (a *account) find(t *testing.T) *Report {
	report, err := Find(context.Background(), a.options())
	require.NoError(t, err)
	return report
}

// lost looks as who has lost the state does.
func (a *account) lost(t *testing.T) *Report {
	options := a.options()
	options.Lost = true
	report, err := Find(context.Background(), options)
	require.NoError(t, err)
	return report
}

// play does what a report's commands say, and gives what AWS answered to those that it refused.
func (a *account) play(report *Report) (refused []string) {
	for _, command := range report.Commands() {
		if command[2] == "wait" {
			continue // the model is done at once
		}
		if err := a.api.Command(command); err != nil {
			refused = append(refused, strings.Join(command, " ")+": "+err.Error())
		}
	}
	return refused
}

// ids lists what has a mark, as "kind id".
func ids(report *Report, mark Mark) []string {
	out := []string{}
	for _, i := range report.Of(mark) {
		out = append(out, i.Kind+" "+i.ID)
	}
	return out
}

type properties = map[string]any

// tags of the stack, with more.
func stackTags(more ...string) properties {
	out := properties{"pulumi:project": "expense", "pulumi:stack": "dev", "Name": "expense"}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}
