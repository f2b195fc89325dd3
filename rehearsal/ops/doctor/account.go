package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"expense/internal/config"
	"expense/internal/published"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	ostypes "github.com/aws/aws-sdk-go-v2/service/opensearch/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
)

// ours tells whether tags are this stack's.
func (e *examination) ours(tags map[string]string) bool {
	return tags["pulumi:project"] == "expense" && tags["pulumi:stack"] == e.Stack
}

// there judges a name that is taken. It may be this stack's own, of an up that failed; otherwise is the text for a name of others.
func (e *examination) there(check string, tags map[string]string, otherwise string) {
	if !e.ours(tags) {
		e.problem(check, "%s", otherwise)
		return
	}
	e.begun = true
	says := "this stack's"
	if !e.up {
		says = fmt.Sprintf("this stack's, of an up that did not end: pulumi up --refresh --stack %s; if that says that it exists already, see "+
			"docs/recovery.md", e.Stack)
	}
	e.ok(check, "%s", says)
}

// names finds out whether the stack is up, and whether its names are free.
func (e *examination) names(ctx context.Context) {
	s := e.Settings
	another := func(path string) string {
		return fmt.Sprintf("pulumi config set --path expense:%s.name ANOTHER --stack %s", path, e.Stack)
	}
	cluster, err := e.eks.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: &s.Cluster.Name})
	check := "cluster name " + s.Cluster.Name
	switch {
	case login.Missing(err):
		e.ok(check, "free")
	case err != nil:
		e.unchecked(check, err)
	default:
		e.up = e.ours(cluster.Cluster.Tags)
		e.there(check, cluster.Cluster.Tags, "taken by a cluster that is not this stack's: "+another("cluster"))
	}

	check = "domain name " + s.Logging.Domain.Name
	tags, err := e.domainTags(ctx)
	switch {
	case login.Missing(err):
		e.ok(check, "free")
	case err != nil:
		e.unchecked(check, err)
	default:
		e.there(check, tags, "taken by a domain that is not this stack's: "+another("logging.domain"))
	}

	e.logGroup(ctx, config.ClusterLogGroup(s.Cluster.Name), another("cluster"))
	for _, log := range slices.Sorted(maps.Keys(config.DomainLogs)) {
		if log != "audit" || s.Logging.Domain.AuditLogs {
			e.logGroup(ctx, config.DomainLogGroup(s.Logging.Domain.Name, log), another("logging.domain"))
		}
	}
}

func (e *examination) domainTags(ctx context.Context) (map[string]string, error) {
	domain, err := e.opensearch.DescribeDomain(ctx, &opensearch.DescribeDomainInput{DomainName: &e.Settings.Logging.Domain.Name})
	if err != nil {
		return nil, err
	}
	answer, err := e.opensearch.ListTags(ctx, &opensearch.ListTagsInput{ARN: domain.DomainStatus.ARN})
	if err != nil {
		return nil, err
	}
	return login.Tags(answer.TagList), nil
}

// logGroup looks for a log group of the name. EKS and OpenSearch make one without tags when they write after its deletion.
func (e *examination) logGroup(ctx context.Context, name, another string) {
	check := "log group " + name
	groups, err := e.logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
	if err != nil {
		e.unchecked(check, err)
		return
	}
	// Names are sorted, so the shortest with the prefix is on the first page
	// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html).
	if len(groups.LogGroups) == 0 || aws.ToString(groups.LogGroups[0].LogGroupName) != name {
		e.ok(check, "free")
		return
	}
	answer, err := e.logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: groups.LogGroups[0].LogGroupArn})
	switch {
	case err != nil:
		e.unchecked(check, err)
	case len(answer.Tags) == 0:
		e.problem(check, "there already, without tags, as AWS writes it again after it was deleted: aws logs delete-log-group "+
			"--log-group-name %s%s", name, e.where())
	default:
		e.there(check, answer.Tags, "taken by one that is not this stack's: "+another)
	}
}

// where gives the options with which a command of the aws CLI asks the same account and region.
func (e *examination) where() string {
	where := " --region " + e.Settings.Region
	if e.Account.Profile != "" {
		where += " --profile " + e.Account.Profile
	}
	return where
}

// kubernetes checks that the version is in standard support, which the program asks for: EKS upgrades a cluster whose version has left
// it. It compares the days that the program warns of with EKS's.
func (e *examination) kubernetes(ctx context.Context) {
	version := e.Settings.Cluster.Version
	check := "Kubernetes " + version
	answer, err := e.eks.DescribeClusterVersions(ctx, &eks.DescribeClusterVersionsInput{ClusterVersions: []string{version}})
	switch {
	case err != nil:
		e.unchecked(check, err)
		return
	case len(answer.ClusterVersions) == 0:
		e.problem(check, "EKS does not have it; see which there are with: aws eks describe-cluster-versions%s, and set one with: pulumi "+
			"config set --path expense:cluster.version VERSION --stack %s", e.where(), e.Stack)
		return
	}
	found := answer.ClusterVersions[0]
	days := day(found.EndOfStandardSupportDate) + " and " + day(found.EndOfExtendedSupportDate)
	known := "nothing"
	for _, v := range published.KubernetesVersions() {
		if v.Version == version {
			known = day(&v.StandardEnds) + " and " + day(&v.ExtendedEnds)
		}
	}
	switch {
	case found.VersionStatus != ekstypes.VersionStatusStandardSupport:
		e.problem(check, "its status is %s; allowed is %s: pulumi config set --path expense:cluster.version VERSION --stack %s",
			found.VersionStatus, ekstypes.VersionStatusStandardSupport, e.Stack)
	case known != days:
		e.problem(check, "EKS says that standard and extended support end on %s, internal/published/kubernetes-versions.csv says %s: write "+
			"there what EKS says", days, known)
	default:
		e.ok(check, "in standard support until %s", day(found.EndOfStandardSupportDate))
	}
}

// day is a day in UTC, as EKS counts.
func day(t *time.Time) string { return aws.ToTime(t).UTC().Format(time.DateOnly) }

// engine looks for the domain's version and instance types.
func (e *examination) engine(ctx context.Context) {
	domain := e.Settings.Logging.Domain
	check := "engine " + domain.EngineVersion
	versions, err := login.All(ctx, opensearch.NewListVersionsPaginator(e.opensearch, nil),
		func(p *opensearch.ListVersionsOutput) []string { return p.Versions })
	if err != nil {
		e.unchecked(check, err)
		return
	}
	if !slices.Contains(versions, domain.EngineVersion) {
		e.problem(check, "OpenSearch Service has %s: pulumi config set --path expense:logging.domain.engineVersion VERSION --stack %s",
			strings.Join(versions, ", "), e.Stack)
		return
	}
	e.ok(check, "available")
	for _, t := range []struct{ path, name string }{{"instanceType", domain.InstanceType}, {"masterInstanceType", domain.MasterInstanceType}} {
		path, typ := t.path, t.name
		if typ == "" {
			continue
		}
		check := "domain's " + path + " " + typ
		answer, err := e.opensearch.ListInstanceTypeDetails(ctx, &opensearch.ListInstanceTypeDetailsInput{EngineVersion: &domain.EngineVersion,
			InstanceType: &typ, RetrieveAZs: aws.Bool(true)})
		switch {
		case err != nil:
			e.unchecked(check, err)
		case !slices.ContainsFunc(answer.InstanceTypeDetails, func(d ostypes.InstanceTypeDetails) bool { return string(d.InstanceType) == typ }):
			e.problem(check, "not in %s for %s: pulumi config set --path expense:logging.domain.%s TYPE --stack %s", e.Settings.Region,
				domain.EngineVersion, path, e.Stack)
		default:
			e.ok(check, "available")
			if path == "instanceType" {
				e.domainZones(answer.InstanceTypeDetails)
				e.volumes(ctx)
			}
		}
	}
}

// volumes compares the data nodes' volumes with the limits of their type
// (https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_DescribeInstanceTypeLimits.html, with an answer). AWS gives one
// minimum for volumes of all sizes. Only the rules of the settings know that it rises with the size.
func (e *examination) volumes(ctx context.Context) {
	l := e.Settings.Logging
	typ := l.Domain.InstanceType
	answer, err := e.opensearch.DescribeInstanceTypeLimits(ctx, &opensearch.DescribeInstanceTypeLimitsInput{
		EngineVersion: &l.Domain.EngineVersion, InstanceType: ostypes.OpenSearchPartitionInstanceType(typ),
	})
	if err != nil {
		e.unchecked("domain's volumes", err)
		return
	}
	limits := map[string]int{}
	for _, storage := range answer.LimitsByRole["data"].StorageTypes {
		if aws.ToString(storage.StorageTypeName) != "ebs" || aws.ToString(storage.StorageSubTypeName) != "gp3" {
			continue
		}
		for _, limit := range storage.StorageTypeLimits {
			if len(limit.LimitValues) == 0 {
				continue
			}
			if n, err := strconv.Atoi(limit.LimitValues[0]); err == nil {
				limits[aws.ToString(limit.LimitName)] = n
			}
		}
	}
	const set = "pulumi config set --path expense:logging.%s NUMBER --stack %s, or a larger expense:logging.domain.instanceType"
	for _, v := range []struct {
		name, limit, path string
		value             int
	}{
		{"GiB", "VolumeSize", "retentionDays", l.VolumeSizeGiB()},
		{"IOPS", "Iops", "domain.iops", l.VolumeIOPS()},
		{"MiB/s", "Throughput", "domain.throughputMiB", l.VolumeThroughputMiB()},
	} {
		check := "domain's volumes in " + v.name
		least, hasLeast := limits["Minimum"+v.limit]
		most, hasMost := limits["Maximum"+v.limit]
		switch {
		case !hasLeast || !hasMost:
			e.unchecked(check, fmt.Errorf("not checked: AWS gives no Minimum%[1]s or no Maximum%[1]s for gp3 with %[2]s and %[3]s", v.limit, typ,
				l.Domain.EngineVersion))
		case v.value < least || v.value > most:
			e.problem(check, "%d; %s takes %d to %d: "+set, v.value, typ, least, most, v.path, e.Stack)
		default:
			e.ok(check, "%d; %s takes %d to %d", v.value, typ, least, most)
		}
	}
}

// onDemand are service-linked roles that their services make when they are first used.
var onDemand = []string{"AWSServiceRoleForAmazonEKS", "AWSServiceRoleForAmazonEKSNodegroup", "AWSServiceRoleForEC2Spot"}

// serviceLinkedRoles compares the account with what the settings say of OpenSearch's role: AWS refuses a second one, and a
// domain in a VPC without one (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/slr.html).
func (e *examination) serviceLinkedRoles(ctx context.Context) {
	const role = "AWSServiceRoleForAmazonOpenSearchService"
	const remedy = "pulumi config set --path expense:logging.createServiceLinkedRole %t --stack %s"
	there, tags, err := e.role(ctx, role)
	create := e.Settings.Logging.CreateServiceLinkedRole
	switch {
	case err != nil:
		e.unchecked("role "+role, err)
	// A destroy leaves the role with these tags, and nothing else of the stack.
	case there && create && e.begun && e.ours(tags), e.up:
		e.ok("role "+role, "this stack's")
	case there && create:
		e.problem("role "+role, "the account has it: "+remedy, false, e.Stack)
	case !there && !create:
		e.problem("role "+role, "the account has none yet: "+remedy, true, e.Stack)
	default:
		e.ok("role "+role, "there: %t, to be made: %t", there, create)
	}
	for _, role := range onDemand {
		switch there, _, err := e.role(ctx, role); {
		case err != nil:
			e.unchecked("role "+role, err)
		case there:
			e.ok("role "+role, "there")
		default:
			e.ok("role "+role, "AWS makes it on first use, if you may iam:CreateServiceLinkedRole")
		}
	}
}

func (e *examination) role(ctx context.Context, name string) (there bool, tags map[string]string, err error) {
	answer, err := e.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if login.Missing(err) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	return true, login.Tags(answer.Role.Tags), nil
}

// boundary looks for the policy that bounds the stack's roles: without it IAM refuses to make them.
func (e *examination) boundary(ctx context.Context) {
	arn := e.Settings.IAM.PermissionsBoundary
	if arn == "" {
		return
	}
	check := "boundary " + arn
	switch _, err := e.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn}); {
	case login.Missing(err):
		e.problem(check, "the account has no such policy: make it as docs/ci.md has it, or do without: pulumi config rm --path "+
			"expense:iam.permissionsBoundary --stack %s", e.Stack)
	case err != nil:
		e.unchecked(check, err)
	default:
		e.ok(check, "there")
	}
}

// types are the instance types of all node groups, sorted.
func (e *examination) types() []string {
	var out []string
	for _, group := range e.Settings.Cluster.NodeGroups {
		out = append(out, group.InstanceTypes...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// offerings asks which zones have the node groups' instance types. A group has nodes in each zone of the network.
func (e *examination) offerings(ctx context.Context) {
	types, have := e.types(), map[string]bool{}
	list := ec2.NewDescribeInstanceTypeOfferingsPaginator(e.ec2, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: ec2types.LocationTypeAvailabilityZoneId,
		Filters:      []ec2types.Filter{{Name: aws.String("instance-type"), Values: types}},
	})
	offered, err := login.All(ctx, list,
		func(p *ec2.DescribeInstanceTypeOfferingsOutput) []ec2types.InstanceTypeOffering {
			return p.InstanceTypeOfferings
		})
	if err != nil {
		e.unchecked("instance types in zones", err)
		return
	}
	for _, o := range offered {
		have[string(o.InstanceType)+" "+aws.ToString(o.Location)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(e.Settings.Cluster.NodeGroups)) {
		group := e.Settings.Cluster.NodeGroups[name]
		check := "instance types of " + name
		var gaps []string
		for _, zone := range e.Settings.Network.Zones {
			if !slices.ContainsFunc(group.InstanceTypes, func(t string) bool { return have[t+" "+zone] }) {
				gaps = append(gaps, zone)
			}
		}
		if len(gaps) > 0 {
			e.problem(check, "%s has none of %s: pulumi config set --path 'expense:cluster.nodeGroups.%s.instanceTypes[%d]' TYPE --stack %s",
				strings.Join(gaps, ", "), strings.Join(group.InstanceTypes, ", "), name, len(group.InstanceTypes), e.Stack)
			continue
		}
		e.ok(check, "offered in %s", strings.Join(e.Settings.Network.Zones, ", "))
	}
}

// quota is one of AWS's limits, by its codes in Service Quotas.
type quota struct{ name, service, code string }

// Codes: aws service-quotas list-service-quotas --service-code ec2; see
// https://docs.aws.amazon.com/servicequotas/latest/userguide/intro.html.
var (
	spotQuota     = quota{"vCPUs of standard spot instances", "ec2", "L-34B43A08"}
	onDemandQuota = quota{"vCPUs of standard on-demand instances", "ec2", "L-1216C47A"}
	addressQuota  = quota{"Elastic IP addresses", "ec2", "L-0263D0A3"}
	vpcQuota      = quota{"VPCs", "vpc", "L-F678F1CE"}
	natQuota      = quota{"NAT gateways in a zone", "vpc", "L-FE5A380F"}
	clusterQuota  = quota{"EKS clusters", "eks", "L-1194D53C"}
)

// limit asks for a quota's value in the account, or for AWS's default if the quota was never changed.
func (e *examination) limit(ctx context.Context, q quota) (float64, error) {
	answer, err := e.quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: &q.service, QuotaCode: &q.code})
	if err == nil {
		return aws.ToFloat64(answer.Quota.Value), nil
	}
	if !login.Missing(err) {
		return 0, err
	}
	byDefault, err := e.quotas.GetAWSDefaultServiceQuota(ctx, &servicequotas.GetAWSDefaultServiceQuotaInput{ServiceCode: &q.service,
		QuotaCode: &q.code})
	if err != nil {
		return 0, err
	}
	return aws.ToFloat64(byDefault.Quota.Value), nil
}

// compare judges a need against what is left of a quota. more is said of one that does.
func (e *examination) compare(ctx context.Context, q quota, used, need float64, more string) {
	check := "quota " + q.name
	limit, err := e.limit(ctx, q)
	switch {
	case err != nil:
		e.unchecked(check, err)
	case used+need > limit:
		e.problem(check, "the quota is %v, in use are %v, the stack needs %v%s: aws service-quotas request-service-quota-increase "+
			"--service-code %s --quota-code %s --desired-value %v%s",
			limit, used, need, more, q.service, q.code, max(used+need, 2*need), e.where())
	default:
		e.ok(check, "%v, in use %v, needed %v%s", limit, used, need, more)
	}
}

// nodes asks EC2 what the node groups' types have.
func (e *examination) nodes(ctx context.Context) {
	have := map[string]published.InstanceType{}
	for some := range slices.Chunk(e.types(), 100) { // as many as EC2 takes at once
		question := &ec2.DescribeInstanceTypesInput{}
		for _, name := range some {
			question.InstanceTypes = append(question.InstanceTypes, ec2types.InstanceType(name))
		}
		answer, err := e.ec2.DescribeInstanceTypes(ctx, question)
		if err != nil {
			e.unchecked("sizes of the node groups' types", err)
			return
		}
		for _, t := range answer.InstanceTypes {
			have[string(t.InstanceType)] = sizeOf(t)
			if !aws.ToBool(t.FreeTierEligible) {
				e.notFree = append(e.notFree, string(t.InstanceType))
			}
		}
	}
	e.pods(have)
	e.vcpus(ctx, have)
}

// sizeOf reads the size of one type. Pods get addresses from the default network card only.
func sizeOf(t ec2types.InstanceTypeInfo) (size published.InstanceType) {
	if t.VCpuInfo != nil {
		size.VCPU = int(aws.ToInt32(t.VCpuInfo.DefaultVCpus))
	}
	if network := t.NetworkInfo; network != nil {
		size.Addresses = int(aws.ToInt32(network.Ipv4AddressesPerInterface))
		for _, card := range network.NetworkCards {
			if aws.ToInt32(card.NetworkCardIndex) == aws.ToInt32(network.DefaultNetworkCardIndex) {
				size.Interfaces = int(aws.ToInt32(card.MaximumNetworkInterfaces))
			}
		}
	}
	return size
}

// pods compares how many pods the nodes hold with those that the program runs by itself.
func (e *examination) pods(have map[string]published.InstanceType) {
	const check = "pods on nodes"
	cluster := e.Settings.Cluster
	crowded := cluster.Crowded(func(t string) int { return have[t].Pods() })
	for _, p := range crowded {
		e.problem(check, "%s", p)
	}
	if len(crowded) == 0 {
		onEach, anywhere := cluster.OwnPods()
		e.ok(check, "room for the %d of the add-ons on each, and for %d more that the program itself runs", onEach, anywhere)
	}
}

// vcpus compares the node groups at their largest with the account's quotas. It does not count what else runs in the account.
func (e *examination) vcpus(ctx context.Context, have map[string]published.InstanceType) {
	need := map[config.CapacityType]float64{}
	for _, group := range e.Settings.Cluster.NodeGroups {
		largest := 0
		for _, t := range group.InstanceTypes {
			largest = max(largest, have[t].VCPU)
		}
		need[group.CapacityType] += float64(largest * group.MaxSize)
	}
	for _, l := range []struct {
		quota quota
		need  float64
	}{{spotQuota, need[config.Spot]}, {onDemandQuota, need[config.OnDemand]}} {
		if l.need > 0 {
			e.compare(ctx, l.quota, 0, l.need, fmt.Sprintf(" at most (%v to replace all nodes at once)", 2*l.need))
		}
	}
}

// limits compares what the network and the cluster need with the account's quotas, less what others use.
func (e *examination) limits(ctx context.Context) {
	gateways := map[config.NAT]float64{config.NATSingle: 1, config.NATPerZone: float64(len(e.Settings.Network.Zones))}[e.Settings.Network.NAT]
	inZone := min(gateways, 1)
	for _, l := range []struct {
		quota quota
		used  func(context.Context) (float64, error)
		need  float64
	}{
		{vpcQuota, e.usedVPCs, 1}, {addressQuota, e.usedAddresses, gateways}, {natQuota, e.usedGateways, inZone}, {clusterQuota, e.usedClusters,
			1},
	} {
		used, err := l.used(ctx)
		if err != nil {
			e.unchecked("quota "+l.quota.name, err)
			continue
		}
		e.compare(ctx, l.quota, used, l.need, "")
	}
}

func (e *examination) usedVPCs(ctx context.Context) (n float64, err error) {
	vpcs, err := login.All(ctx, ec2.NewDescribeVpcsPaginator(e.ec2, nil), func(p *ec2.DescribeVpcsOutput) []ec2types.Vpc { return p.Vpcs })
	for _, v := range vpcs {
		n += e.others(v.Tags)
	}
	return n, err
}

func (e *examination) usedAddresses(ctx context.Context) (n float64, err error) {
	answer, err := e.ec2.DescribeAddresses(ctx, nil)
	if err != nil {
		return 0, err
	}
	for _, a := range answer.Addresses {
		n += e.others(a.Tags)
	}
	return n, nil
}

// others counts a thing of EC2: 0 if it is this stack's, else 1.
func (e *examination) others(tags []ec2types.Tag) float64 {
	if e.ours(login.Tags(tags)) {
		return 0
	}
	return 1
}

// usedGateways counts those in the fullest of the network's zones.
func (e *examination) usedGateways(ctx context.Context) (most float64, err error) {
	subnets, err := login.All(ctx, ec2.NewDescribeSubnetsPaginator(e.ec2, nil),
		func(p *ec2.DescribeSubnetsOutput) []ec2types.Subnet { return p.Subnets })
	if err != nil {
		return 0, err
	}
	zones, counts := map[string]string{}, map[string]float64{}
	for _, s := range subnets {
		zones[aws.ToString(s.SubnetId)] = aws.ToString(s.AvailabilityZoneId)
	}
	gateways, err := login.All(ctx, ec2.NewDescribeNatGatewaysPaginator(e.ec2, nil),
		func(p *ec2.DescribeNatGatewaysOutput) []ec2types.NatGateway { return p.NatGateways })
	for _, g := range gateways {
		zone := zones[aws.ToString(g.SubnetId)]
		if g.State != ec2types.NatGatewayStateDeleted && slices.Contains(e.Settings.Network.Zones, zone) {
			counts[zone] += e.others(g.Tags)
			most = max(most, counts[zone])
		}
	}
	return most, err
}

func (e *examination) usedClusters(ctx context.Context) (float64, error) {
	names, err := login.All(ctx, eks.NewListClustersPaginator(e.eks, nil), func(p *eks.ListClustersOutput) []string { return p.Clusters })
	if e.up {
		return float64(len(names) - 1), err
	}
	return float64(len(names)), err
}
