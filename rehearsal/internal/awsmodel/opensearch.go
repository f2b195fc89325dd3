package awsmodel

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Rules of Amazon OpenSearch Service. Sources: the developer guide pages named beside the rule, and
// terraform-provider-aws, internal/service/opensearch/domain.go. Answers of CreateDomain were written down by
// https://github.com/badmintoncryer/cdk-preflight (rules/opensearch, September 2026) where no other source is named.

func openSearchRows() rows {
	return of("OpenSearch", rows{
		tDomain: {
			ops: "CreateDomain UpdateDomainConfig DeleteDomain",
			keeps: "advancedSecurityOptions autoTuneOptions clusterConfig domainEndpointOptions ebsOptions encryptAtRest engineVersion " +
				"ipAddressType nodeToNodeEncryption offPeakWindowOptions softwareUpdateOptions",
			name: naming{property: "domainName"}, id: func(m *Model, o *object) string { return m.arnOf("es|domain/{name}", o) },
			arn: "es|domain/{name}", tagged: true,
			blank:     "dashboardEndpointV2 domainEndpointV2HostedZoneId domainId endpointV2 kibanaEndpoint",
			takenCode: "ResourceAlreadyExistsException", takenText: "Domain %s already exists",
			times:  took(20*minutes, 15*minutes, 12*minutes),
			refs:   []ref{subnetRef("vpcOptions.subnetIds"), sgRef("vpcOptions.securityGroupIds")},
			create: createDomain, fill: fillDomain, update: updateDomain, gone: domainGone,
		},
		tDomainPolicy: {
			ops: "UpdateDomainConfig UpdateDomainConfig UpdateDomainConfig", required: "accessPolicies domainName", upserts: true,
			id:    func(_ *Model, o *object) string { return "esd-policy-" + o.in.str("domainName") },
			refs:  []ref{{"domainName", tDomain, "domainName", "ResourceNotFoundException", "Domain not found: %s"}},
			times: took(1*minutes, 1*minutes, 1*minutes),
			check: policyDocument("accessPolicies", resourcePolicy, 0), create: createDomainPolicy,
			update: again(createDomainPolicy), remove: changeDomainPolicy, missed: missedDomainPolicy,
		},
	})
}

// dataNode is a type of data node: its family, its largest gp3 volume in GiB, and the most IOPS and MB/s that EC2 gives it, 0 for a
// type of OpenSearch's own.
type dataNode struct {
	family                 string
	most, iops, throughput float64
}

//go:embed data-nodes.csv
var dataNodesCSV string

var dataNodes = func() map[string]dataNode {
	reader := csv.NewReader(strings.NewReader(dataNodesCSV))
	reader.Comment = '#'
	rows, err := reader.ReadAll()
	if err != nil {
		panic(err)
	}
	out := map[string]dataNode{}
	for _, row := range rows {
		var n dataNode
		n.family, _, _ = strings.Cut(row[0], ".")
		for i, into := range []*float64{&n.most, &n.iops, &n.throughput} {
			if *into, err = strconv.ParseFloat(row[1+i], 64); err != nil {
				panic(err)
			}
		}
		out[row[0]+".search"] = n
	}
	return out
}()

// optimized are OpenSearch's own families with the first version that has them (.../supported-instance-types.html). Their volumes have
// 20 GiB at least (.../limits.html#ebsresource).
var optimized = map[string]string{"or1": "OpenSearch_2.11", "or2": "OpenSearch_2.17", "om2": "OpenSearch_2.17"}

// engineVersions as list-versions shows them, oldest first.
var engineVersions = []string{
	"OpenSearch_1.0", "OpenSearch_1.1", "OpenSearch_1.2", "OpenSearch_1.3", "OpenSearch_2.3", "OpenSearch_2.5", "OpenSearch_2.7",
	"OpenSearch_2.9", "OpenSearch_2.11", "OpenSearch_2.13", "OpenSearch_2.15", "OpenSearch_2.17", "OpenSearch_2.19", "OpenSearch_3.1",
	"OpenSearch_3.3", "OpenSearch_3.5", "OpenSearch_3.7",
}

func invalid(format string, args ...any) error { return refuse("ValidationException", format, args...) }

func createDomain(m *Model, o *object) error {
	o.busy = o.began + table[o.typ].times.create
	return m.takesDomain(o)
}

// takesDomain checks a domain before it is made or changed.
func (m *Model) takesDomain(o *object) error {
	if err := m.domainRules(o); err != nil {
		return err
	}
	if err := m.domainNetwork(o); err != nil {
		return err
	}
	return m.domainLogs(o)
}

// domainRules are those about the domain alone.
func (m *Model) domainRules(o *object) error {
	in := o.in
	version := in.str("engineVersion")
	if strings.HasPrefix(version, "OpenSearch") && !slices.Contains(engineVersions, version) {
		return invalid("Invalid engine version %s; available are %s", version, strings.Join(engineVersions, ", "))
	}
	kind, master := in.str("clusterConfig.instanceType"), in.str("clusterConfig.dedicatedMasterType")
	node, known := dataNodes[kind]
	_, masterKnown := dataNodes[master]
	least, own := optimized[node.family]
	count, masters := int(in.num("clusterConfig.instanceCount")), in.flag("clusterConfig.dedicatedMasterEnabled", false)
	zones := max(2, int(in.num("clusterConfig.zoneAwarenessConfig.availabilityZoneCount")))
	const noSuchType = "1 validation error detected: Value '%s' at 'clusterConfig.%s' failed to satisfy constraint: Member must satisfy " +
		"enum value set"
	switch {
	case !known:
		return invalid(noSuchType, kind, "instanceType")
	// .../limits.html#clusterresource
	case node.family == "t3" && count > 10:
		return invalid("Instance count should be between 1 and 10.")
	case count > 10 && !masters:
		return invalid("Dedicated master instances must be enabled for domains with more than 10 instance count.")
	case own && slices.Index(engineVersions, version) < slices.Index(engineVersions, least):
		return invalid("Invalid instance type: %s", kind)
	// .../managedomains-dedicatedmasternodes.html
	case masters && !masterKnown:
		return invalid(noSuchType, master, "dedicatedMasterType")
	case !masters && (in.num("clusterConfig.dedicatedMasterCount") > 0 || master != ""):
		return invalid("DedicatedMasterEnabled must be set to True to specify the DedicatedMasterCount and DedicatedMasterType options.")
	// .../managedomains-multiaz.html
	case in.flag("clusterConfig.zoneAwarenessEnabled", false) && count%zones != 0:
		return invalid("You must choose a number of data nodes that is a multiple of the number of Availability Zones: %d nodes, %d zones",
			count, zones)
	}
	// Without an argument Auto-Tune stays as it was (ministryofjustice/cloud-platform#5235).
	if err := tuning(o.out, node.family == "t3"); err != nil {
		return err
	}
	if err := storage(in, kind, version); err != nil {
		return err
	}
	return m.accessControl(o)
}

// storage is the data nodes' volumes: .../limits.html and https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
func storage(in props, kind, version string) error {
	if !in.flag("ebsOptions.ebsEnabled", false) {
		return invalid("EBS storage must be selected for %s", kind)
	}
	node := dataNodes[kind]
	volume, least := in.num("ebsOptions.volumeSize"), 10.0
	if _, own := optimized[node.family]; own {
		least = 20
	}
	if volume < least || volume > node.most {
		return refuse("LimitExceededException", "Volume size must be between %v and %v for %s instance type and version %s", least,
			node.most, kind, version)
	}
	return gp3(kind, volume, in.num("ebsOptions.iops"), in.num("ebsOptions.throughput"))
}

// gp3 checks IOPS and MiB/s of a data node's gp3 volume of a size in GiB. AWS chooses a value that is 0. The answers are those that
// AWS gave others, internal/published/volumes.csv. Between them the floors are what AWS includes in the price (volumePerformance in
// internal/config/volume.go). The ceilings are EC2's for the instance type, as all published ones are, or gp3's own.
func gp3(kind string, size, iops, throughput float64) error {
	// https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html; a large volume is several ones (aws/aws-cdk#29711).
	volumes := math.Ceil(size / 3000)
	mostIOPS, mostThroughput := 80000*volumes, 2000*volumes
	if node := dataNodes[kind]; node.iops > 0 {
		mostIOPS, mostThroughput = min(mostIOPS, node.iops), min(mostThroughput, math.Floor(node.throughput))
	}
	leastThroughput := 250 * volumes
	if size <= 170 {
		leastThroughput = 125
	}
	for _, l := range []struct {
		name               string
		value, least, most float64
	}{{"IOPS", iops, max(3000, 3*size), mostIOPS}, {"Throughput", throughput, leastThroughput, mostThroughput}} {
		least := min(l.least, l.most)
		switch {
		case l.value == 0 || l.value >= least && l.value <= l.most:
		case least == l.most:
			return refuse("LimitExceededException", "%s must be set to %v", l.name, l.most)
		default:
			return refuse("LimitExceededException", "%s must be between %v and %v", l.name, least, l.most)
		}
	}
	// EBS's own ratios. How OpenSearch Service words them is not known.
	if iops > 500*size {
		return invalid("The ratio of IOPS to volume size must be at most 500, found %v IOPS for %v GiB", iops, size)
	}
	if iops != 0 && throughput > iops/4 {
		return invalid("The ratio of throughput to IOPS must be at most 0.25, found %v MiB/s for %v IOPS", throughput, iops)
	}
	return nil
}

// tuning is Auto-Tune and the window for its work: .../auto-tune.html, .../off-peak.html and
// https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_OffPeakWindowOptions.html. The wording of the last
// two answers is ours.
func tuning(in props, burst bool) error {
	if burst && in.has("autoTuneOptions") {
		return invalid("Autotune is not supported in t2/t3 instance types. Disable autotune or change your instance type.")
	}
	if in.has("offPeakWindowOptions.enabled") && !in.flag("offPeakWindowOptions.enabled", true) {
		return invalid("The off-peak window cannot be disabled.")
	}
	if in.flag("autoTuneOptions.useOffPeakWindow", false) && len(in.objs("autoTuneOptions.maintenanceSchedules")) > 0 {
		return invalid("Auto-Tune maintenance schedules cannot be set when the off-peak window is used.")
	}
	return nil
}

// accessControl is fine-grained access control and what it needs: .../fgac.html. That AWS looks for the master's role is an
// assumption.
func (m *Model) accessControl(o *object) error {
	in := o.in
	if !in.flag("advancedSecurityOptions.enabled", false) {
		return nil
	}
	arn := in.str("advancedSecurityOptions.masterUserOptions.masterUserArn")
	switch {
	case !in.flag("domainEndpointOptions.enforceHttps", false):
		return invalid("You must enable EnforceHTTPS in the domain endpoint options to use advanced security.")
	case !in.flag("encryptAtRest.enabled", false):
		return invalid("You must enable encryption at rest to use advanced security options.")
	case !in.flag("nodeToNodeEncryption.enabled", false):
		return invalid("You must enable node-to-node encryption to use advanced security options.")
	case arn == "":
		return invalid("If you don't enable the internal user database, you must provide a master user ARN.")
	// Inferred from AWS's answer to a policy that names such a role. These words are ours.
	case !m.principal(o, arn):
		return invalid("The master user ARN %s does not exist", arn)
	}
	return nil
}

// domainNetwork: .../vpc.html and .../slr-aos.html
func (m *Model) domainNetwork(o *object) error {
	if !m.slrVisible(o) {
		return invalid("Before you can proceed, you must enable a service-linked role to give Amazon OpenSearch Service permissions to " +
			"access your VPC.")
	}
	want := 1
	if o.in.flag("clusterConfig.zoneAwarenessEnabled", false) {
		want = max(2, int(o.in.num("clusterConfig.zoneAwarenessConfig.availabilityZoneCount")))
	}
	subnets := o.in.strs("vpcOptions.subnetIds")
	if len(subnets) != want {
		if want == 1 {
			return invalid("You must specify exactly one subnet.")
		}
		return invalid("You must specify exactly %d subnets because you've set zone count to %d", want, want)
	}
	zones := map[string]bool{}
	for _, id := range subnets {
		s := m.objects[tSubnet][id]
		if zones[s.out.str("availabilityZoneId")] {
			return invalid("You must specify subnets that are in different Availability Zones")
		}
		zones[s.out.str("availabilityZoneId")] = true
		// .../vpc.html#reserving-ip-vpc-endpoints; the answer's wording is ours.
		if need, free := int(3*max(1, o.in.num("clusterConfig.instanceCount")))/want, m.freeAddresses(s, o.id); need > free {
			return invalid("The subnet '%s' does not have enough free addresses: the domain reserves %d, it has %d", id, need, free)
		}
	}
	return nil
}

// freeAddresses is how many addresses of a subnet are free or the owner's. AWS keeps five
// (https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html).
func (m *Model) freeAddresses(subnet *object, owner string) int {
	free := -5
	if p, err := netip.ParsePrefix(subnet.in.str("cidrBlock")); err == nil {
		free += 1 << (32 - p.Bits())
	}
	for _, eni := range m.where(tENI, "subnetId", subnet.id) {
		if eni.out.str("owner") != owner {
			free--
		}
	}
	return free
}

// domainLogs: .../createdomain-configure-slow-logs.html
func (m *Model) domainLogs(o *object) error {
	for _, l := range o.in.objs("logPublishingOptions") {
		if !l.flag("enabled", true) {
			continue
		}
		if l.str("logType") == "AUDIT_LOGS" && !o.in.flag("advancedSecurityOptions.enabled", false) {
			return invalid("audit log publishing cannot be enabled as you do not have advanced security options configured.")
		}
		arn := strings.TrimSuffix(l.str("cloudwatchLogGroupArn"), ":*")
		if m.first(tLogGroup, "arn", arn) == nil {
			return refuse("ResourceNotFoundException",
				"The Resource Access Policy specified for the CloudWatch Logs log group %s does not exist", arn)
		}
		if !m.mayPublish(o, arn) {
			return invalid("The Resource Access Policy specified for the CloudWatch Logs log group %s does not grant sufficient "+
				"permissions for Amazon OpenSearch Service to create a log stream. Please check the Resource Access Policy.",
				l.str("cloudwatchLogGroupArn"))
		}
	}
	return nil
}

// mayPublish tells whether a resource policy that the service knows lets it write to the group.
func (m *Model) mayPublish(o *object, group string) bool {
	granted := func(action string) bool {
		allows := func(s statement) bool {
			service := s.speaksOf("Service", "es.amazonaws.com") || s.speaksOf("Service", "opensearchservice.amazonaws.com")
			return s.Effect == "Allow" && service && (s.covers(action, group) || s.covers(action, group+":*"))
		}
		return slices.ContainsFunc(m.all(tLogPolicy), func(p *object) bool {
			return m.spread(o, p.changed, logPolicySpread) && slices.ContainsFunc(parse(p.in.str("policyDocument")).Statement, allows)
		})
	}
	return granted("logs:PutLogEvents") && granted("logs:CreateLogStream")
}

func fillDomain(m *Model, o *object) {
	if !o.out.has("endpoint") {
		kind := "search"
		if o.in.has("vpcOptions") {
			kind = "vpc"
		}
		host := fmt.Sprintf("%s-%s-%s.%s.es.amazonaws.com", kind, o.name(), m.hex(o.id)[:26], m.opts.Region)
		o.out.set("endpoint", host)
		o.out.set("dashboardEndpoint", host+"/_dashboards")
	}
	if o.in.has("vpcOptions") {
		m.domainENIs(o)
		v := props{o.in.value("vpcOptions").ObjectValue().Copy()}
		var zones []any
		for _, id := range o.in.strs("vpcOptions.subnetIds") {
			s := m.objects[tSubnet][id]
			v.set("vpcId", s.in.str("vpcId"))
			zones = append(zones, s.out.str("availabilityZone"))
		}
		v.set("availabilityZones", zones)
		o.out.set("vpcOptions", v.m)
	}
}

// domainENIs gives the domain one interface per data node, and one more per dedicated master, in its subnets.
func (m *Model) domainENIs(o *object) {
	n := max(1, int(o.in.num("clusterConfig.instanceCount"))) + int(o.in.num("clusterConfig.dedicatedMasterCount"))
	want := strconv.Itoa(n) + strings.Join(o.in.strs("vpcOptions.subnetIds"), ",") + strings.Join(o.in.strs("vpcOptions.securityGroupIds"),
		",")
	if have := m.where(tENI, "owner", o.id); len(have) > 0 && have[0].out.str("plan") == want {
		return
	}
	dropENIs(m, o)
	subnets := o.in.strs("vpcOptions.subnetIds")
	for i := range n {
		eni := m.addENI(m.objects[tSubnet][subnets[i%len(subnets)]], o.id, "ES "+o.name(), o.in.strs("vpcOptions.securityGroupIds"))
		eni.out.set("plan", want)
	}
}

// Upgrades tells whether AWS upgrades a domain from one version to another in place. An unknown version counts as an upgrade.
// Sources: "Supported upgrade paths" of .../version-migration.html; within 1.x also answers of GetCompatibleVersions (tests of
// localstack/localstack).
func Upgrades(from, to string) bool {
	a, b := slices.Index(engineVersions, from), slices.Index(engineVersions, to)
	least := map[int]string{2: "OpenSearch_1.3", 3: "OpenSearch_2.19"}[major(to)]
	return a < 0 || b < 0 || a <= b && a >= slices.Index(engineVersions, least)
}

func major(version string) int {
	_, v, _ := strings.Cut(version, "_")
	head, _, _ := strings.Cut(v, ".")
	n, _ := strconv.Atoi(head)
	return n
}

// InProgress is the answer to a change of a domain that is changing. A change goes on in AWS after Ctrl-C, and AWS changes domains by
// itself (.../managedomains-configuration-changes.html, .../service-software.html).
const InProgress = "A change/update is in progress. Please wait for it to complete before requesting another change."

func updateDomain(m *Model, o *object, before props) error {
	if o.asked < o.busy {
		refused := &APIError{Status: 400, Code: "ValidationException", Message: InProgress}
		if before.str("engineVersion") != o.in.str("engineVersion") {
			refused.Service, refused.Operation = "OpenSearch", "UpgradeDomain" // a request of its own, which the provider does not repeat
		}
		return refused
	}
	if err := m.takesDomain(o); err != nil {
		return err
	}
	o.busy = o.began + table[o.typ].times.update
	// A log that an update leaves out stays on (hashicorp/terraform-provider-aws#5752, aws/aws-cdk#29294).
	logs := o.in.objs("logPublishingOptions")
	for _, was := range before.objs("logPublishingOptions") {
		if !slices.ContainsFunc(logs, func(l props) bool { return l.str("logType") == was.str("logType") }) {
			logs = append(logs, was)
		}
	}
	var all []any
	for _, l := range logs {
		all = append(all, l.m.Mappable())
	}
	for _, p := range []props{o.in, o.out} {
		p.set("logPublishingOptions", all)
	}
	return nil
}

func domainGone(m *Model, o *object) bool {
	for _, p := range m.where(tDomainPolicy, "domainName", o.name()) {
		m.drop(p)
	}
	return dropENIs(m, o)
}

func createDomainPolicy(m *Model, o *object) error {
	doc := o.in.str("accessPolicies")
	if err := m.principalsExist(o, doc, "InvalidTypeException", "Error setting policy: ["+doc+"]: invalid principal"); err != nil {
		return err
	}
	return changeDomainPolicy(m, o)
}

// changeDomainPolicy is a change of the domain: its policy is set or removed.
func changeDomainPolicy(m *Model, o *object) error {
	domain := m.first(tDomain, "domainName", o.in.str("domainName"))
	if o.asked < domain.busy {
		return refuse("ValidationException", InProgress)
	}
	domain.busy = o.began + table[o.typ].times.update
	return nil
}

// missedDomainPolicy: if the domain is gone too, the removal of its policy is an error to the provider
// (resourceDomainPolicyDelete of opensearch/domain_policy.go).
func missedDomainPolicy(m *Model, id string) error {
	domain := strings.TrimPrefix(id, "esd-policy-")
	if m.first(tDomain, "domainName", domain) != nil {
		return nil
	}
	return refuse("ResourceNotFoundException", "Domain not found: %s", domain)
}
