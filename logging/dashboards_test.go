package logging

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
)

// The service is named because the proxy cannot tell it from the domain's name in a VPC, and the region because a
// signature without it signs for another. No flag takes the cookie or the header away that Dashboards asks for.
func TestDashboardsProxySignsForTheDomainAndPassesTheBrowsersHeaders(t *testing.T) {
	assert.Equal(t, pulumi.ToStringArray([]string{
		"--name", "es", "--region", "eu-central-1", "--host", "vpc-expense.eu-central-1.es.amazonaws.com", "--port", ":8080",
	}), proxyFlags("eu-central-1", pulumi.String("vpc-expense.eu-central-1.es.amazonaws.com")))
}
