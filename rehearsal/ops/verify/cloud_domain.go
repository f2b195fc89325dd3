package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/opensearch/types"
)

var domainChecks = []Check{
	{
		Name:    "domain",
		Promise: "The domain is encrypted, closed to all but the cluster, of the settings' shape and version, and nothing of it changes now.",
		Actions: []string{"es:DescribeDomain"}, Takes: 2 * time.Second, Run: checkDomain,
	},
	{
		Name:    "domain-health",
		Promise: "The domain is not red, nor yellow if it has copies; it takes writes, has free storage, and a snapshot of the last 36 hours.",
		Actions: []string{"cloudwatch:GetMetricData"}, Needs: []Ability{Monitoring}, Takes: 3 * time.Second, Run: checkDomainHealth,
	},
	{
		Name:    "alarms",
		Promise: "The alarms of the stack are there and tell its topic.",
		Actions: []string{"cloudwatch:DescribeAlarms"}, Takes: 2 * time.Second, Run: checkAlarms,
	},
}

func checkDomain(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, logging := findings{}, s.Settings.Logging
	set := logging.Domain
	made, err := s.only("aws:opensearch/domain:Domain")
	if err != nil {
		return "", err
	}
	thing := "domain " + set.Name
	answer, err := opensearch.NewFromConfig(s.AWS).DescribeDomain(ctx, &opensearch.DescribeDomainInput{DomainName: &set.Name})
	if !f.asked(thing, err) {
		return f.result()
	}
	d := answer.DomainStatus
	want := func(what string, found, wanted any) { f.want(thing, what, found, wanted) }
	want("version", d.EngineVersion, set.EngineVersion)
	// A part that AWS leaves out is one with nothing set.
	rest, nodes, https := value(d.EncryptionAtRestOptions), value(d.NodeToNodeEncryptionOptions), value(d.DomainEndpointOptions)
	access, network, volumes := value(d.AdvancedSecurityOptions), value(d.VPCOptions), value(d.EBSOptions)
	want("encryption at rest", aws.ToBool(rest.Enabled), true)
	if key := output(made, "encryptAtRest", "kmsKeyId"); key != "" {
		want("key", rest.KmsKeyId, key)
	}
	want("encryption between nodes", aws.ToBool(nodes.Enabled), true)
	want("HTTPS alone", aws.ToBool(https.EnforceHTTPS), true)
	want("TLS policy", https.TLSSecurityPolicy, output(made, "domainEndpointOptions", "tlsSecurityPolicy"))
	want("fine-grained access", aws.ToBool(access.Enabled), true)
	want("internal users", aws.ToBool(access.InternalUserDatabaseEnabled), false)
	want("anonymous access", aws.ToBool(access.AnonymousAuthEnabled), false)
	want("subnets", network.SubnetIds, s.subnetsIn(s.Settings.Network.Zones[:set.ZoneCount]))
	want("security groups", network.SecurityGroupIds, outputs(made, "vpcOptions", "securityGroupIds"))
	for _, policy := range s.resources("aws:opensearch/domainPolicy:DomainPolicy") {
		want("access policy", canonical(aws.ToString(d.AccessPolicies)), canonical(output(policy, "accessPolicies")))
	}
	domainShape(want, value(d.ClusterConfig), set)
	want("volume type", volumes.VolumeType, output(made, "ebsOptions", "volumeType"))
	want("volume size", volumes.VolumeSize, logging.VolumeSizeGiB())
	want("IOPS", volumes.Iops, logging.VolumeIOPS())
	want("throughput", volumes.Throughput, logging.VolumeThroughputMiB())
	for _, name := range slices.Sorted(maps.Keys(config.DomainLogs)) {
		log := d.LogPublishingOptions[config.DomainLogs[name]]
		on := name != "audit" || set.AuditLogs
		want("log "+name, aws.ToBool(log.Enabled), on)
		if on {
			// The ARN of all of a group's streams ends with :*.
			arn := strings.TrimSuffix(aws.ToString(log.CloudWatchLogsLogGroupArn), ":*")
			want("group of log "+name, arn[strings.LastIndex(arn, ":")+1:], config.DomainLogGroup(set.Name, name))
		}
	}
	for what, under := range map[string]*bool{"Processing": d.Processing, "UpgradeProcessing": d.UpgradeProcessing, "Deleted": d.Deleted} {
		if aws.ToBool(under) {
			f.problem("%s: %s: a change is under way: wait until this says false: aws opensearch describe-domain --domain-name %s --region %s",
				thing, what, set.Name, s.AWS.Region)
		}
	}
	if status := d.DomainProcessingStatus; status != "" && status != types.DomainProcessingStatusTypeActive {
		f.problem("%s: it is %s, expected %s", thing, status, types.DomainProcessingStatusTypeActive)
	}
	if soft := d.ServiceSoftwareOptions; soft != nil && aws.ToBool(soft.UpdateAvailable) {
		f.note("service software %s is available", aws.ToString(soft.NewVersion))
	}
	f.visit(1, "domain")
	f.note("%s, key %s", aws.ToString(d.EngineVersion), shown(rest.KmsKeyId))
	return f.result()
}

func domainShape(want func(what string, found, wanted any), has types.ClusterConfig, set config.Domain) {
	want("instance type", has.InstanceType, set.InstanceType)
	want("data nodes", has.InstanceCount, set.InstanceCount)
	want("spread over zones", aws.ToBool(has.ZoneAwarenessEnabled), set.ZoneCount > 1)
	if set.ZoneCount > 1 {
		want("zones", value(has.ZoneAwarenessConfig).AvailabilityZoneCount, set.ZoneCount)
	}
	want("dedicated masters", aws.ToBool(has.DedicatedMasterEnabled), set.HasMasters())
	if set.HasMasters() {
		want("type of masters", has.DedicatedMasterType, set.MasterInstanceType)
		want("number of masters", has.DedicatedMasterCount, 3)
	}
}

// health is a metric of the domain and what it must not be. Names and units are from
// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/managedomains-cloudwatchmetrics.html.
type health struct {
	metric, statistic string
	wrong             func(value float64) bool
	means             string
}

// checkDomainHealth reads the newest values of the last half an hour. Where CloudWatch has none, nothing was seen.
func checkDomainHealth(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, set := findings{}, s.Settings.Logging
	made, err := s.only("aws:opensearch/domain:Domain")
	if err != nil {
		return "", err
	}
	account, err := iampolicy.Account(output(made, "arn"))
	if err != nil {
		return "", err
	}
	yes := func(v float64) bool { return v >= 1 }
	// FreeStorageSpace is in MiB, and its minimum is that of the fullest node.
	least := float64(set.VolumeSizeGiB()*1024*config.FreeStoragePercent) / 100
	all := []health{
		{"ClusterStatus.red", "Maximum", yes, "it is red: an index has lost a shard"},
		{"ClusterIndexWritesBlocked", "Maximum", yes, "it takes no writes, for lack of space or memory"},
		{"FreeStorageSpace", "Minimum", func(v float64) bool { return v <= least },
			fmt.Sprintf("a data node has no %.0f MiB free, %d %% of its volume: raise expense:logging.gibPerDay", least, config.FreeStoragePercent)},
		{"AutomatedSnapshotFailure", "Maximum", yes, "no snapshot of it was taken for 36 hours"},
	}
	if set.Domain.Replicas() > 0 {
		all = append(all, health{"ClusterStatus.yellow", "Minimum", yes, "it is yellow: an index has lost a copy"})
	}
	var queries []cwtypes.MetricDataQuery
	for i, h := range all {
		queries = append(queries, cwtypes.MetricDataQuery{Id: aws.String(fmt.Sprintf("m%d", i)), MetricStat: &cwtypes.MetricStat{
			Period: aws.Int32(300), Stat: aws.String(h.statistic),
			Metric: &cwtypes.Metric{Namespace: aws.String("AWS/ES"), MetricName: aws.String(h.metric), Dimensions: []cwtypes.Dimension{
				{Name: aws.String("DomainName"), Value: aws.String(set.Domain.Name)}, {Name: aws.String("ClientId"), Value: &account},
			}},
		}})
	}
	now, values := time.Now(), map[string][]float64{}
	list := cloudwatch.NewGetMetricDataPaginator(cloudwatch.NewFromConfig(s.AWS), &cloudwatch.GetMetricDataInput{
		MetricDataQueries: queries, StartTime: aws.Time(now.Add(-30 * time.Minute)), EndTime: &now,
	})
	for list.HasMorePages() {
		page, err := list.NextPage(ctx)
		if !f.asked("metrics of domain "+set.Domain.Name, err) {
			return f.result()
		}
		for _, r := range page.MetricDataResults {
			values[aws.ToString(r.Id)] = append(values[aws.ToString(r.Id)], r.Values...)
		}
	}
	seen := 0
	for i, h := range all {
		found := values[fmt.Sprintf("m%d", i)]
		if len(found) == 0 {
			f.unseen = append(f.unseen, notSeen("CloudWatch has no %s of domain %s for the last half an hour", h.metric, set.Domain.Name))
			continue
		}
		seen++
		// Without ScanBy the newest comes first (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html).
		if h.wrong(found[0]) {
			f.problem("domain %s: %s is %v: %s", set.Domain.Name, h.metric, found[0], h.means)
		}
		f.note("%s %v", h.metric, found[0])
	}
	f.visit(seen, "metric")
	return f.result()
}

// checkAlarms leaves the state of an alarm to its receiver, and says it. A new alarm has insufficient data.
func checkAlarms(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, made := findings{}, s.resources("aws:cloudwatch/metricAlarm:MetricAlarm")
	if !s.Settings.Logging.Alarms.Wanted() {
		f.want("settings without alarms", "alarms in the state", len(made), 0)
		f.note("the settings ask for none")
	}
	var names []string
	for _, r := range made {
		names = append(names, output(r, "name"))
	}
	slices.Sort(names)
	found := map[string]cwtypes.MetricAlarm{}
	// One call has at most 100 names (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html).
	for some := range slices.Chunk(names, 100) {
		list := cloudwatch.NewDescribeAlarmsPaginator(cloudwatch.NewFromConfig(s.AWS), &cloudwatch.DescribeAlarmsInput{AlarmNames: some})
		all, err := login.All(ctx, list, func(p *cloudwatch.DescribeAlarmsOutput) []cwtypes.MetricAlarm { return p.MetricAlarms })
		if !f.asked("alarms", err) {
			return f.result()
		}
		for _, a := range all {
			found[aws.ToString(a.AlarmName)] = a
		}
	}
	for _, r := range made {
		name := output(r, "name")
		a, has := found[name]
		if !has {
			f.problem("alarm %s: AWS has none", name)
			continue
		}
		f.want("alarm "+name, "actions on", aws.ToBool(a.ActionsEnabled), true)
		f.want("alarm "+name, "receivers", a.AlarmActions, outputs(r, "alarmActions"))
		f.want("alarm "+name, "metric", a.MetricName, output(r, "metricName"))
		f.want("alarm "+name, "threshold", a.Threshold, number(r, "threshold"))
		if a.StateValue == cwtypes.StateValueAlarm {
			f.note("%s is in alarm", name)
		}
	}
	if len(made) == 0 && s.Settings.Logging.Alarms.Wanted() {
		f.problem("the settings ask for alarms, and the state has none: run pulumi up")
	}
	f.visit(len(made), "alarm")
	return f.result()
}
