// Package logging makes the path of a log line: the OpenSearch domain, the access to it, and the fluentd sidecar for any pod. It does
// not know the pods.
package logging

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/opensearch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Type tokens of the components. They are part of every URN: without an alias, a change replaces the children.
const (
	typeDomain     = "expense:logging:Domain"
	typeAccess     = "expense:logging:Access"
	typeAlarms     = "expense:logging:Alarms"
	typeDashboards = "expense:logging:Dashboards"
	typeMaster     = "expense:logging:Master"
	typeSetup      = "expense:logging:Setup"
	typeSidecar    = "expense:logging:Sidecar"
)

// DomainArgs describe the domain.
type DomainArgs struct {
	config.Logging
	Region string
	VpcID  pulumi.StringInput
	// SubnetIDs are one private subnet for each zone of the network. The domain uses the first Domain.ZoneCount of them.
	SubnetIDs pulumi.StringArrayOutput
	// ClientSecurityGroupID is the only group whose members may connect to the domain.
	ClientSecurityGroupID pulumi.StringInput
	// MasterRoleARN is the role of the set-up. It may do everything with the domain. A change is made in place.
	MasterRoleARN pulumi.StringInput
	// SlowResources take minutes to make. The domain waits for them, so that OpenSearch knows the roles and log policies by then.
	SlowResources []pulumi.Resource
}

// Domain is the OpenSearch Service domain that keeps the logs.
type Domain struct {
	pulumi.ResourceState

	Name pulumi.StringOutput `pulumi:"name"`
	ARN  pulumi.StringOutput `pulumi:"arn"`
	// Endpoint and DashboardsEndpoint are host names inside the VPC, without https://.
	Endpoint           pulumi.StringOutput `pulumi:"endpoint"`
	DashboardsEndpoint pulumi.StringOutput `pulumi:"dashboardsEndpoint"`
}

// auditLog is the key of the audit log in config.DomainLogs. OpenSearch writes it only if its security plugin is configured too
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/audit-logs.html).
const auditLog = "audit"

// NewDomain makes the domain in the private subnets. A change of its name replaces it and its data, and so does a version that AWS does
// not offer as an upgrade. A change of instances or volumes is a blue/green deployment in place.
//
// Fine-grained access control is on, with one IAM role as its master and without an internal user database. So an IAM policy alone
// grants nothing inside the domain: the roles that the master makes do. It can be turned on for an existing domain, and never off again
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/fgac.html).
func NewDomain(ctx *pulumi.Context, name string, args *DomainArgs, opts ...pulumi.ResourceOption) (*Domain, error) {
	if args == nil {
		return nil, fmt.Errorf("domain %q: no arguments", name)
	}
	if args.MasterRoleARN == nil {
		return nil, fmt.Errorf("domain %q: no master role", name)
	}
	d := &Domain{}
	if err := ctx.RegisterComponentResource(typeDomain, name, d, opts...); err != nil {
		return nil, err
	}

	// For a while OpenSearch does not see new roles and log policies, and the provider does not try again
	// (https://github.com/pulumi/pulumi-aws/issues/2349 and
	// https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1769). So the domain waits for slow resources.
	dependsOn := slices.Clone(args.SlowResources)
	if args.CreateServiceLinkedRole {
		role, err := iam.NewServiceLinkedRole(ctx, name, &iam.ServiceLinkedRoleArgs{
			AwsServiceName: pulumi.String("opensearchservice.amazonaws.com"),
			// Other domains of the account use the role too, and IAM refuses to delete it while a domain exists.
		}, pulumi.Parent(d), pulumi.RetainOnDelete(true))
		if err != nil {
			return nil, fmt.Errorf("service-linked role: %w", err)
		}
		dependsOn = append(dependsOn, role)
	}
	publishing, policy, err := d.logs(ctx, name, args)
	if err != nil {
		return nil, err
	}
	group, err := d.securityGroup(ctx, name, args)
	if err != nil {
		return nil, err
	}

	domain, err := opensearch.NewDomain(ctx, name, domainArgs(name, args, publishing, group),
		pulumi.Parent(d), pulumi.DependsOn(slices.Concat(dependsOn, []pulumi.Resource{policy})), pulumi.Protect(args.Domain.Protect),
		// Fifteen to thirty minutes are usual, but one in ten takes more than an hour
		// (https://github.com/hashicorp/terraform-provider-aws/issues/33897). After a timeout the next `up` does not wait and takes the
		// domain without its endpoint. So the timeouts are long, but below the deployment's four hours.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "150m", Update: "180m", Delete: "90m"}))
	if err != nil {
		return nil, fmt.Errorf("OpenSearch domain: %w", err)
	}
	d.Name, d.ARN = domain.DomainName, domain.Arn
	d.Endpoint, d.DashboardsEndpoint = made(args, domain, domain.Endpoint), made(args, domain, domain.DashboardEndpoint)
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{
		"name": d.Name, "arn": d.ARN, "endpoint": d.Endpoint, "dashboardsEndpoint": d.DashboardsEndpoint,
	})
}

// made returns an endpoint, or an error while the domain has none. An `up` after a timeout does not wait for it.
func made(args *DomainArgs, domain *opensearch.Domain, endpoint pulumi.StringOutput) pulumi.StringOutput {
	return pulumi.All(endpoint, domain.Endpoint).ApplyT(func(v []any) (string, error) {
		if v[1] == "" {
			return "", fmt.Errorf("domain %[1]s has no endpoint yet: AWS still makes it. When `aws opensearch describe-domain "+
				"--domain-name %[1]s --region %[2]s --query DomainStatus.Processing` says false: pulumi up --refresh", args.Domain.Name, args.Region)
		}
		return v[0].(string), nil
	}).(pulumi.StringOutput)
}

func domainArgs(
	name string, args *DomainArgs, publishing opensearch.DomainLogPublishingOptionArray, group *ec2.SecurityGroup,
) *opensearch.DomainArgs {
	return &opensearch.DomainArgs{
		DomainName:    pulumi.String(args.Domain.Name),
		EngineVersion: pulumi.String(args.Domain.EngineVersion),
		ClusterConfig: clusterConfig(args.Domain),
		EbsOptions: opensearch.DomainEbsOptionsArgs{
			EbsEnabled: pulumi.Bool(true),
			VolumeType: pulumi.String("gp3"),
			VolumeSize: pulumi.Int(args.VolumeSizeGiB()),
			Iops:       pulumi.Int(args.VolumeIOPS()),
			Throughput: pulumi.Int(args.VolumeThroughputMiB()),
		},
		VpcOptions: opensearch.DomainVpcOptionsArgs{
			SubnetIds: args.SubnetIDs.ApplyT(func(ids []string) ([]string, error) {
				return firstSubnets(ids, args.Domain.ZoneCount)
			}).(pulumi.StringArrayOutput),
			SecurityGroupIds: pulumi.StringArray{group.ID()},
		},
		EncryptAtRest:        opensearch.DomainEncryptAtRestArgs{Enabled: pulumi.Bool(true)},
		NodeToNodeEncryption: opensearch.DomainNodeToNodeEncryptionArgs{Enabled: pulumi.Bool(true)},
		DomainEndpointOptions: opensearch.DomainDomainEndpointOptionsArgs{
			EnforceHttps: pulumi.Bool(true),
			// TLS 1.2 with perfect forward secrecy and 1.3: the strictest policy except those of FIPS
			// (https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_DomainEndpointOptions.html).
			TlsSecurityPolicy: pulumi.String("Policy-Min-TLS-1-2-PFS-2023-10"),
		},
		AdvancedSecurityOptions: opensearch.DomainAdvancedSecurityOptionsArgs{
			Enabled:                     pulumi.Bool(true),
			InternalUserDatabaseEnabled: pulumi.Bool(false),
			MasterUserOptions: opensearch.DomainAdvancedSecurityOptionsMasterUserOptionsArgs{
				MasterUserArn: args.MasterRoleARN.ToStringOutput().ToStringPtrOutput(),
			},
		},
		LogPublishingOptions: publishing,
		AutoTuneOptions:      autoTune(args.Region, args.Domain),
		// AWS's window is the ten hours from 22:00 of the region's time. Its start is left to AWS, and the provider shows no difference.
		// New domains always have the window, and it cannot be turned off
		// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/off-peak.html).
		OffPeakWindowOptions: opensearch.DomainOffPeakWindowOptionsArgs{Enabled: pulumi.Bool(true)},
		// AWS isolates and finally deletes a domain without a required update
		// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/service-software.html).
		SoftwareUpdateOptions: opensearch.DomainSoftwareUpdateOptionsArgs{AutoSoftwareUpdateEnabled: pulumi.Bool(true)},
		Tags:                  tags.Name(name),
	}
}

// clusterConfig describes the domain's nodes. There are three dedicated masters, because two cannot elect one after the loss of the
// other.
func clusterConfig(c config.Domain) opensearch.DomainClusterConfigArgs {
	out := opensearch.DomainClusterConfigArgs{
		InstanceType:         pulumi.String(c.InstanceType),
		InstanceCount:        pulumi.Int(c.InstanceCount),
		ZoneAwarenessEnabled: pulumi.Bool(c.ZoneCount > 1),
	}
	if c.ZoneCount > 1 {
		out.ZoneAwarenessConfig = opensearch.DomainClusterConfigZoneAwarenessConfigArgs{AvailabilityZoneCount: pulumi.Int(c.ZoneCount)}
	}
	if c.HasMasters() {
		out.DedicatedMasterEnabled = pulumi.Bool(true)
		out.DedicatedMasterType = pulumi.String(c.MasterInstanceType)
		out.DedicatedMasterCount = pulumi.Int(3)
	}
	return out
}

// burstable are types whose domains refuse the setting of Auto-Tune, even to turn it off
// (https://github.com/hashicorp/terraform-provider-aws/issues/30205).
var burstable = regexp.MustCompile(`^t[0-9]`)

// autoTune lets OpenSearch Service adapt memory and queues to the load, in the off-peak window if that needs a blue/green deployment.
// It is nil on burstable types and outside of the commercial regions, where there is no Auto-Tune
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/auto-tune.html).
func autoTune(region string, c config.Domain) opensearch.DomainAutoTuneOptionsPtrInput {
	if burstable.MatchString(c.InstanceType) || iampolicy.Partition(region) != "aws" {
		return nil
	}
	return opensearch.DomainAutoTuneOptionsArgs{DesiredState: pulumi.String("ENABLED"), UseOffPeakWindow: pulumi.Bool(true)}
}

// firstSubnets are the domain's subnets, exactly one for each of its zones.
func firstSubnets(ids []string, count int) ([]string, error) {
	if len(ids) < count {
		return nil, fmt.Errorf("domain over %d zones: the network has %d private subnets", count, len(ids))
	}
	return ids[:count], nil
}

// logs makes a log group for each of the domain's logs, and lets only this domain write to them. Audit logs are named even if they are
// off: OpenSearch would go on with an omitted log (https://github.com/hashicorp/terraform-provider-aws/issues/5752), and a new domain
// accepts them as off (integ.opensearch.disable-logging.ts of aws/aws-cdk, which AWS deploys). CloudWatch encrypts the groups with its
// own key. A customer-managed one costs 1 USD a month, and disabling it would stop the logs.
func (d *Domain) logs(
	ctx *pulumi.Context, name string, args *DomainArgs,
) (opensearch.DomainLogPublishingOptionArray, *cloudwatch.LogResourcePolicy, error) {
	var options opensearch.DomainLogPublishingOptionArray
	for _, kind := range slices.Sorted(maps.Keys(config.DomainLogs)) {
		group, err := cloudwatch.NewLogGroup(ctx, name+"-"+kind, &cloudwatch.LogGroupArgs{
			Name:            pulumi.String(config.DomainLogGroup(args.Domain.Name, kind)),
			RetentionInDays: pulumi.Int(args.LogRetentionDays),
		}, pulumi.Parent(d))
		if err != nil {
			return nil, nil, fmt.Errorf("log group %s: %w", kind, err)
		}
		options = append(options, opensearch.DomainLogPublishingOptionArgs{
			LogType: pulumi.String(config.DomainLogs[kind]), CloudwatchLogGroupArn: group.Arn,
			Enabled: pulumi.Bool(kind != auditLog || args.Domain.AuditLogs),
		})
	}
	policy, err := cloudwatch.NewLogResourcePolicy(ctx, name, &cloudwatch.LogResourcePolicyArgs{
		PolicyName: pulumi.String(config.DomainLogPolicy(args.Domain.Name)),
		PolicyDocument: args.MasterRoleARN.ToStringOutput().ApplyT(func(role string) (string, error) {
			return logPolicy(args.Region, args.Domain.Name, role)
		}).(pulumi.StringOutput),
	}, pulumi.Parent(d))
	if err != nil {
		return nil, nil, fmt.Errorf("log resource policy: %w", err)
	}
	return options, policy, nil
}

// logPolicy lets OpenSearch write to the domain's groups. The conditions keep other accounts' domains from using the service as their
// deputy (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/createdomain-configure-slow-logs.html).
// The page's logs:PutLogEventsBatch is no action (https://github.com/awsdocs/amazon-opensearch-service-developer-guide/pull/62).
//
// It takes the account from a role's ARN and does not depend on the groups. So it exists before them and does not change shortly before
// the domain is made: OpenSearch would not know the change yet. When the domain is renamed, the old one is deleted in between.
func logPolicy(region, domain, role string) (string, error) {
	account, err := iampolicy.Account(role)
	if err != nil {
		return "", err
	}
	arn := func(service, resource string) string {
		return fmt.Sprintf("arn:%s:%s:%s:%s:%s", iampolicy.Partition(region), service, region, account, resource)
	}
	return iampolicy.Document(iampolicy.Statement{
		Sid:       "DomainLogs",
		Principal: iampolicy.Principal{Service: "es.amazonaws.com"},
		Actions:   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
		Resources: []string{arn("logs", "log-group:"+config.DomainLogGroup(domain, "*")+":*")},
		Conditions: map[string]map[string]string{
			"StringEquals": {"aws:SourceAccount": account},
			"ArnLike":      {"aws:SourceArn": arn("es", "domain/"+domain)},
		},
	})
}

// securityGroup admits HTTPS from the cluster's group and lets nothing out, because the domain opens no connections.
func (d *Domain) securityGroup(ctx *pulumi.Context, name string, args *DomainArgs) (*ec2.SecurityGroup, error) {
	group, err := ec2.NewSecurityGroup(ctx, name, &ec2.SecurityGroupArgs{
		VpcId:       args.VpcID,
		Description: pulumi.String("OpenSearch domain " + args.Domain.Name + ": HTTPS from the cluster"),
		Tags:        tags.Name(name),
	}, pulumi.Parent(d))
	if err != nil {
		return nil, fmt.Errorf("security group: %w", err)
	}
	// The rule is a separate resource, so that the domain does not wait for the cluster.
	if _, err := vpc.NewSecurityGroupIngressRule(ctx, name+"-cluster", &vpc.SecurityGroupIngressRuleArgs{
		SecurityGroupId:           group.ID(),
		ReferencedSecurityGroupId: args.ClientSecurityGroupID,
		IpProtocol:                pulumi.String("tcp"),
		FromPort:                  pulumi.Int(443),
		ToPort:                    pulumi.Int(443),
		Description:               pulumi.String("HTTPS from the nodes and pods of the cluster"),
		Tags:                      tags.Name(name + "-cluster"),
	}, pulumi.Parent(d)); err != nil {
		return nil, fmt.Errorf("ingress rule: %w", err)
	}
	return group, nil
}
