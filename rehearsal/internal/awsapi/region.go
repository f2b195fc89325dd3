package awsapi

import (
	"cmp"
	"maps"
	"slices"

	"expense/internal/published"
	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/freetier"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
)

// Region is what a region offers and allows, which the model does not know. What is not in it does not exist.
type Region struct {
	// Quotas are the values of quotas by their codes in Service Quotas.
	Quotas map[string]float64
	// Offered are the zone IDs in which an instance type is offered.
	Offered map[string][]string
	// Types are instance types that differ from the published ones, or are newer.
	Types map[string]published.InstanceType
	// Kubernetes are EKS's versions. Their support is that of awsmodel.Today.
	Kubernetes []published.KubernetesVersion
	// DomainZones are the zones, by ID, of a domain's instance types; one that is not listed is in all.
	DomainZones map[string][]string
	// Engines are the versions of OpenSearch Service, DomainTypes the instance types that it has for all of them.
	Engines, DomainTypes []string
	// Plan is the account's, FREE or PAID; FreeTypes are the instance types that are free-tier-eligible.
	Plan      string
	FreeTypes []string
	// NoEndpointPolicy are the endpoint services, by their whole names, that take no policy.
	NoEndpointPolicy []string
	// Policies are the ARNs of the customer's IAM policies.
	Policies []string
	// Roles is the quota of IAM roles; 0 is 1,000.
	Roles int
	// VolumeKey is the default key of volumes.
	VolumeKey string
	// VolumeLimits are the limits of gp3 volumes by their names, for all of DomainTypes.
	VolumeLimits map[string]string
}

var regionRows = []row{
	on((*servicequotas.Client).GetServiceQuota, getQuota),
	on((*servicequotas.Client).GetAWSDefaultServiceQuota, getQuota),
	on((*freetier.Client).GetAccountPlanState, func(c *call) (obj, error) {
		if c.Region.Plan == "" {
			return nil, refuse(noResource, "the account has no plan")
		}
		return obj{"AccountPlanType": c.Region.Plan}, nil
	}),
	on((*ec2.Client).GetEbsDefaultKmsKeyId, func(c *call) (obj, error) { return obj{"KmsKeyId": c.Region.VolumeKey}, nil }),
	on((*ec2.Client).DescribeInstanceTypes, describeTypes),
	on((*ec2.Client).DescribeInstanceTypeOfferings, describeOfferings),
	on((*ec2.Client).DescribeAvailabilityZones, describeZones),
	on((*ec2.Client).DescribeVpcEndpointServices, describeServices),
	on((*eks.Client).DescribeClusterVersions, describeVersions),
	on((*opensearch.Client).ListVersions, func(c *call) (obj, error) { return obj{"Versions": listOf(c.Region.Engines)}, nil }),
	on((*opensearch.Client).ListInstanceTypeDetails, listDomainTypes),
	on((*opensearch.Client).DescribeInstanceTypeLimits, describeTypeLimits),
}

// listOf is a list of any values.
func listOf[T any](values []T) list {
	out := list{}
	for _, v := range values {
		out = append(out, v)
	}
	return out
}

func getQuota(c *call) (obj, error) {
	c.text("ServiceCode")
	code := c.text("QuotaCode")
	value, known := c.Region.Quotas[code]
	if !known {
		return nil, refuse("NoSuchResourceException", "The request failed because the specified service quota does not exist: %s", code)
	}
	return obj{"Quota": obj{"Value": value}}, nil
}

func describeTypes(c *call) (obj, error) {
	out := list{}
	for _, name := range c.texts("InstanceTypes") {
		t, known := c.Region.Types[name]
		if !known {
			t, known = published.InstanceTypes()[name]
		}
		if !known {
			return nil, refuse("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", name)
		}
		out = append(out, obj{
			"InstanceType": name, "VCpuInfo": obj{"DefaultVCpus": t.VCPU}, "FreeTierEligible": slices.Contains(c.Region.FreeTypes, name),
			"NetworkInfo": obj{
				"Ipv4AddressesPerInterface": t.Addresses, "DefaultNetworkCardIndex": 0,
				"NetworkCards": list{obj{"NetworkCardIndex": 0, "MaximumNetworkInterfaces": t.Interfaces}},
			},
		})
	}
	return obj{"InstanceTypes": out}, nil
}

func describeOfferings(c *call) (obj, error) {
	types, err := c.filter("instance-type")
	if c.text("LocationType") != "availability-zone-id" {
		return nil, refuse("InvalidParameterValue", "the model has the IDs of zones only")
	}
	out := list{}
	for _, name := range types {
		for _, zone := range c.Region.Offered[name] {
			out = append(out, obj{"InstanceType": name, "Location": zone})
		}
	}
	return obj{"InstanceTypeOfferings": out}, err
}

// zoneNames are the account's names of zones, or of all of the region's if no ID is given.
func (c *call) zoneNames(ids []string) list {
	names := c.Model.Zones()
	if ids == nil {
		ids = slices.Sorted(maps.Keys(names))
	}
	out := list{}
	for _, id := range ids {
		out = append(out, names[id])
	}
	return out
}

func describeZones(c *call) (obj, error) {
	if kinds, err := c.filter("zone-type"); !slices.Equal(kinds, []string{"availability-zone"}) {
		return nil, cmp.Or(err, refuse("InvalidParameterValue", "the model has availability zones only"))
	}
	out, names := list{}, c.Model.Zones()
	for _, id := range slices.Sorted(maps.Keys(names)) {
		out = append(out, obj{"ZoneId": id, "ZoneName": names[id]})
	}
	return obj{"AvailabilityZones": out}, nil
}

// describeServices leaves out a service that the region lacks, as AWS does for a filter. A call with ServiceNames gets
// InvalidServiceName (eksctl-io/eksctl pkg/cfn/builder/vpc_endpoint.go).
func describeServices(c *call) (obj, error) {
	names, err := c.filter("service-name")
	out := list{}
	for _, name := range names {
		if _, zones, there := c.Model.EndpointService(name); there {
			out = append(out, obj{"ServiceName": name, "AvailabilityZones": c.zoneNames(zones),
				"VpcEndpointPolicySupported": !slices.Contains(c.Region.NoEndpointPolicy, name)})
		}
	}
	return obj{"ServiceDetails": out}, err
}

// describeVersions answers with the words of botocore's data/eks (ClusterVersionInformation).
func describeVersions(c *call) (obj, error) {
	out, asked := list{}, c.texts("ClusterVersions")
	for _, v := range c.Region.Kubernetes {
		if !slices.Contains(asked, v.Version) {
			continue
		}
		status := "STANDARD_SUPPORT"
		if !awsmodel.Today.Before(v.StandardEnds) {
			status = "EXTENDED_SUPPORT"
		}
		out = append(out, obj{"ClusterVersion": v.Version, "VersionStatus": status,
			"EndOfStandardSupportDate": v.StandardEnds, "EndOfExtendedSupportDate": v.ExtendedEnds})
	}
	return obj{"ClusterVersions": out}, nil
}

// domainType reads an engine and an instance type, and tells whether the region has both.
func (c *call) domainType() (typ string, has bool, err error) {
	engine, typ := c.text("EngineVersion"), c.text("InstanceType")
	if !slices.Contains(c.Region.Engines, engine) {
		err = refuse("ValidationException", "unknown engine version %s", engine)
	}
	return typ, slices.Contains(c.Region.DomainTypes, typ), err
}

func listDomainTypes(c *call) (obj, error) {
	typ, has, err := c.domainType()
	details := obj{"InstanceType": typ}
	if c.text("RetrieveAZs") == "true" {
		details["AvailabilityZones"] = c.zoneNames(c.Region.DomainZones[typ])
	}
	out := list{}
	if has {
		out = append(out, details)
	}
	return obj{"InstanceTypeDetails": out}, err
}

// describeTypeLimits answers in the form of the example in
// https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_DescribeInstanceTypeLimits.html.
func describeTypeLimits(c *call) (obj, error) {
	typ, has, err := c.domainType()
	if !has && err == nil {
		err = refuse("ValidationException", "unknown instance type %s", typ)
	}
	storage := func(kind string, limits map[string]string) obj {
		all := list{}
		for name, value := range limits {
			all = append(all, obj{"LimitName": name, "LimitValues": list{value}})
		}
		return obj{"StorageTypeName": "ebs", "StorageSubTypeName": kind, "StorageTypeLimits": all}
	}
	return obj{"LimitsByRole": obj{
		"data": obj{"StorageTypes": list{
			storage("gp2", map[string]string{"MinimumVolumeSize": "10", "MaximumVolumeSize": "256"}), storage("gp3", c.Region.VolumeLimits),
		}},
		"master": obj{"InstanceLimits": obj{"InstanceCountLimits": obj{"MinimumInstanceCount": 2, "MaximumInstanceCount": 5}}},
	}}, err
}
