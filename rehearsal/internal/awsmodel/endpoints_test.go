package awsmodel

import (
	"context"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEndpointsAreOfServicesThatTheRegionAndTheZoneHave(t *testing.T) {
	for name, c := range map[string]struct {
		region, zone, service, kind, want string
	}{
		"everywhere":   {"us-east-1", "use1-az2", "com.amazonaws.us-east-1.sts", "Interface", ""},
		"GovCloud":     {"us-gov-west-1", "usgw1-az1", "com.amazonaws.us-gov-west-1.sts", "Interface", ""},
		"gateway":      {"us-east-1", "use1-az2", "com.amazonaws.us-east-1.s3", "Gateway", ""},
		"older region": {"us-east-1", "use1-az2", "com.amazonaws.us-east-1.ec2messages", "Interface", ""},
		"region opened since 2024": {
			"mx-central-1", "mxc1-az1", "com.amazonaws.mx-central-1.ec2messages", "Interface", "InvalidServiceName",
		},
		"region without EKS's": {"ap-east-2", "ape2-az1", "com.amazonaws.ap-east-2.eks", "Interface", "InvalidServiceName"},
		"no such service":      {"us-east-1", "use1-az2", "com.amazonaws.us-east-1.stss", "Interface", "InvalidServiceName"},
		"another region's":     {"us-east-1", "use1-az2", "com.amazonaws.us-west-2.sts", "Interface", "InvalidServiceName"},
		"zone without the service": {
			"us-east-1", "use1-az2", "com.amazonaws.us-east-1.ssm", "Interface", "does not support the availability zone of the subnet",
		},
		"its other zone":            {"us-east-1", "use1-az1", "com.amazonaws.us-east-1.ssm", "Interface", ""},
		"region without by options": {"us-east-1", "use1-az1", "com.amazonaws.us-east-1.logs", "Interface", "InvalidServiceName"},
	} {
		ctx := context.Background()
		m := New(Options{Region: c.region, EndpointZones: map[string][]string{"ssm": {"use1-az1"}, "logs": {}}})
		vpc, _, err := m.Create(ctx, tVPC, "v", resource.NewPropertyMapFromMap(in{"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": true}))
		require.NoError(t, err)
		subnet, _, err := m.Create(ctx, tSubnet, "s",
			resource.NewPropertyMapFromMap(in{"vpcId": vpc, "cidrBlock": "10.0.0.0/24", "availabilityZoneId": c.zone}))
		require.NoError(t, err, name)
		inputs := in{"vpcId": vpc, "serviceName": c.service, "vpcEndpointType": c.kind}
		if c.kind == "Interface" {
			inputs["subnetIds"], inputs["privateDnsEnabled"] = []any{subnet}, true
		}
		_, _, err = m.Create(ctx, tEndpoint, "e", resource.NewPropertyMapFromMap(inputs))
		if c.want == "" {
			assert.NoError(t, err, name)
			continue
		}
		assert.ErrorContains(t, err, c.want, name)
	}
	assert.Greater(t, strings.Count(endpointServices, "\n"), 300)
}
