package cluster

import (
	"testing"

	"expense/internal/iampolicy"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An endpoint admits the account's credentials only. Two requests need none: for a role of the account, and for a layer of an image.
func TestEndpointsAreForTheOwnAccount(t *testing.T) {
	const own = `{"Sid":"OwnAccount","Effect":"Allow","Principal":"*","Action":["*"],"Resource":["*"],` +
		`"Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}}`
	for _, c := range []struct{ region, service, more string }{
		{"us-east-1", "ec2", ""},
		{"us-east-1", "ecr.dkr", ""},
		{"us-east-1", "sts",
			`,{"Sid":"OwnRoles","Effect":"Allow","Principal":"*","Action":["sts:AssumeRoleWithSAML","sts:AssumeRoleWithWebIdentity"],` +
				`"Resource":["*"],"Condition":{"StringEquals":{"aws:ResourceAccount":"111122223333"}}}`},
		{"us-gov-west-1", "s3",
			`,{"Sid":"ImageLayers","Effect":"Allow","Principal":"*","Action":["s3:GetObject"],` +
				`"Resource":["arn:aws-us-gov:s3:::prod-us-gov-west-1-starport-layer-bucket/*"]}`},
	} {
		policy, err := iampolicy.Document(endpointStatements("111122223333", c.region, c.service)...)
		require.NoError(t, err)
		assert.JSONEq(t, `{"Version":"2012-10-17","Statement":[`+own+c.more+`]}`, policy, c.service)
	}
}
