package awshttp

import (
	"maps"
	"slices"
	"strings"

	"expense/internal/published"
	"expense/rehearsal/internal/awsmodel"
)

// Region is what a region offers and allows, which the model does not know. What is not in it does not exist.
type Region struct {
	// Quotas are the values of quotas by their codes in Service Quotas.
	Quotas map[string]float64
	// Offered are the zone IDs in which an instance type is offered.
	Offered map[string][]string
	// Types are instance types that are not as published, or newer.
	Types map[string]published.InstanceType
	// Kubernetes are EKS's versions, of which awsmodel.Today says what support they have.
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
	// Policies are the ARNs of IAM policies that customers made.
	Policies []string
	// VolumeKey is the default key of volumes.
	VolumeKey string
	// VolumeLimits are the limits of gp3 volumes by their names, for all of DomainTypes.
	VolumeLimits map[string]string
}

var quotaOperations = map[string]operation{
	"GetServiceQuota":           {params: "ServiceCode QuotaCode", run: getQuota},
	"GetAWSDefaultServiceQuota": {params: "ServiceCode QuotaCode", run: getQuota},
}

var planOperations = map[string]operation{
	"GetAccountPlanState": {run: func(c *call) (obj, error) {
		if c.Region.Plan == "" {
			return nil, refuse("ResourceNotFoundException", "the account has no plan")
		}
		return obj{"accountId": strings.Split(c.Model.Caller(), ":")[4], "accountPlanType": c.Region.Plan, "accountPlanStatus": "ACTIVE"}, nil
	}},
}

func getQuota(c *call) (obj, error) {
	value, known := c.Region.Quotas[c.text("QuotaCode")]
	if !known {
		return nil, refuse("NoSuchResourceException", "The request failed because the specified service quota does not exist: %s", c.text("QuotaCode"))
	}
	return obj{"Quota": obj{"ServiceCode": c.text("ServiceCode"), "QuotaCode": c.text("QuotaCode"), "Value": value}}, nil
}

func describeTypes(c *call) (obj, error) {
	out := list{}
	for _, name := range c.texts("InstanceType") {
		t, known := c.Region.Types[name]
		if !known {
			t, known = published.InstanceTypes()[name]
		}
		if !known {
			return nil, refuse("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", name)
		}
		out = append(out, obj{"instanceType": name, "vCpuInfo": obj{"defaultVCpus": t.VCPU}, "freeTierEligible": slices.Contains(c.Region.FreeTypes, name), "networkInfo": obj{
			"ipv4AddressesPerInterface": t.Addresses, "defaultNetworkCardIndex": 0,
			"networkCards": list{obj{"networkCardIndex": 0, "maximumNetworkInterfaces": t.Interfaces}},
		}})
	}
	return obj{"instanceTypeSet": out}, nil
}

func describeOfferings(c *call) (obj, error) {
	if c.text("LocationType") != "availability-zone-id" || c.text("Filter.1.Name") != "instance-type" || c.text("Filter.2.Name") != "" {
		return nil, refuse("InvalidParameterValue", "the endpoint answers for zone IDs and instance types only")
	}
	out := list{}
	for _, name := range c.texts("Filter.1.Value") {
		for _, zone := range c.Region.Offered[name] {
			out = append(out, obj{"instanceType": name, "locationType": "availability-zone-id", "location": zone})
		}
	}
	return obj{"instanceTypeOfferingSet": out}, nil
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
	if c.text("Filter.1.Name") != "zone-type" || c.text("Filter.1.Value.1") != "availability-zone" || c.text("Filter.2.Name") != "" {
		return nil, refuse("InvalidParameterValue", "the endpoint has availability zones only")
	}
	out, names := list{}, c.Model.Zones()
	for _, id := range slices.Sorted(maps.Keys(names)) {
		out = append(out, obj{"zoneId": id, "zoneName": names[id], "regionName": c.Model.Region(), "zoneState": "available", "zoneType": "availability-zone"})
	}
	return obj{"availabilityZoneInfo": out}, nil
}

// describeServices leaves out a service that the region lacks, as it does who asks by filter; who asks by ServiceNames gets
// InvalidServiceName (eksctl-io/eksctl pkg/cfn/builder/vpc_endpoint.go).
func describeServices(c *call) (obj, error) {
	if c.text("Filter.1.Name") != "service-name" || c.text("Filter.2.Name") != "" {
		return nil, refuse("InvalidParameterValue", "the endpoint filters services by their names")
	}
	out := list{}
	for _, name := range c.texts("Filter.1.Value") {
		types, zones, there := c.Model.EndpointService(name)
		if !there {
			continue
		}
		kinds := list{}
		for _, kind := range types {
			kinds = append(kinds, obj{"serviceType": kind})
		}
		out = append(out, obj{"serviceName": name, "serviceType": kinds, "availabilityZoneSet": c.zoneNames(zones),
			"vpcEndpointPolicySupported": !slices.Contains(c.Region.NoEndpointPolicy, name)})
	}
	return obj{"serviceDetailSet": out}, nil
}

// describeVersions answers with times in seconds and with the words of botocore's data/eks (ClusterVersionInformation).
func describeVersions(c *call) (obj, error) {
	out := list{}
	for _, v := range c.Region.Kubernetes {
		if v.Version != c.text("clusterVersions") {
			continue
		}
		status := "STANDARD_SUPPORT"
		if !awsmodel.Today.Before(v.StandardEnds) {
			status = "EXTENDED_SUPPORT"
		}
		out = append(out, obj{"clusterVersion": v.Version, "versionStatus": status,
			"endOfStandardSupportDate": v.StandardEnds.Unix(), "endOfExtendedSupportDate": v.ExtendedEnds.Unix()})
	}
	return obj{"clusterVersions": out}, nil
}

func listEngines(c *call) (obj, error) {
	out := list{}
	for _, engine := range c.Region.Engines {
		out = append(out, engine)
	}
	return obj{"Versions": out}, nil
}

func listDomainTypes(c *call) (obj, error) {
	if !slices.Contains(c.Region.Engines, c.text("EngineVersion")) {
		return nil, refuse("ValidationException", "unknown engine version %s", c.text("EngineVersion"))
	}
	out := list{}
	if typ := c.text("instanceType"); slices.Contains(c.Region.DomainTypes, typ) {
		details := obj{"InstanceType": typ}
		if c.text("retrieveAZs") == "true" {
			details["AvailabilityZones"] = c.zoneNames(c.Region.DomainZones[typ])
		}
		out = append(out, details)
	}
	return obj{"InstanceTypeDetails": out}, nil
}

// describeTypeLimits answers in the form of the example in
// https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_DescribeInstanceTypeLimits.html.
func describeTypeLimits(c *call) (obj, error) {
	if !slices.Contains(c.Region.Engines, c.text("EngineVersion")) || !slices.Contains(c.Region.DomainTypes, c.text("InstanceType")) {
		return nil, refuse("ValidationException", "unknown instance type %s or engine version %s", c.text("InstanceType"), c.text("EngineVersion"))
	}
	storage := func(kind string, limits map[string]string) obj {
		all := list{}
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			all = append(all, obj{"LimitName": name, "LimitValues": list{limits[name]}})
		}
		return obj{"StorageTypeName": "ebs", "StorageSubTypeName": kind, "StorageTypeLimits": all}
	}
	instances := func(least, most int) obj {
		return obj{"InstanceCountLimits": obj{"MinimumInstanceCount": least, "MaximumInstanceCount": most}}
	}
	return obj{"LimitsByRole": obj{
		"data": obj{"InstanceLimits": instances(1, 80), "StorageTypes": list{
			storage("io1", map[string]string{"MinimumVolumeSize": "35", "MaximumVolumeSize": "256", "MinimumIops": "1000", "MaximumIops": "16000"}),
			storage("gp2", map[string]string{"MinimumVolumeSize": "10", "MaximumVolumeSize": "256"}),
			storage("gp3", c.Region.VolumeLimits),
		}},
		"master": obj{"InstanceLimits": instances(2, 5), "StorageTypes": nil},
	}}, nil
}
