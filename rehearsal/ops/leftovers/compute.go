package leftovers

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// findInstances leaves out instances that are terminated: EC2 shows them for about an hour
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html).
func findInstances(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeInstancesPaginator(f.ec2, &ec2.DescribeInstancesInput{}), func(page *ec2.DescribeInstancesOutput) {
		for _, reservation := range page.Reservations {
			for _, n := range reservation.Instances {
				i, ok := f.item(aws.ToString(n.InstanceId), string(n.InstanceType), ec2Tags(n.Tags), aws.ToString(n.VpcId))
				if ok && (n.State == nil || n.State.Name != types.InstanceStateNameTerminated) {
					f.cost(&i, "ec2."+string(n.InstanceType), 1)
					items = append(items, i)
				}
			}
		}
	})
	return items, err
}

func findScalingGroups(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, autoscaling.NewDescribeAutoScalingGroupsPaginator(f.autoscaling, &autoscaling.DescribeAutoScalingGroupsInput{}), func(page *autoscaling.DescribeAutoScalingGroupsOutput) {
		for _, g := range page.AutoScalingGroups {
			tags := tagMap(g.Tags, func(t asgtypes.TagDescription) (*string, *string) { return t.Key, t.Value })
			if i, ok := f.item(aws.ToString(g.AutoScalingGroupName), "", tags, ""); ok {
				items = append(items, i)
			}
		}
	})
	return items, err
}

func findTemplates(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeLaunchTemplatesPaginator(f.ec2, &ec2.DescribeLaunchTemplatesInput{}), func(page *ec2.DescribeLaunchTemplatesOutput) {
		for _, t := range page.LaunchTemplates {
			if i, ok := f.item(aws.ToString(t.LaunchTemplateId), aws.ToString(t.LaunchTemplateName), ec2Tags(t.Tags), ""); ok {
				items = append(items, i)
			}
		}
	})
	return items, err
}

// findVolumes gives a volume to the instance that it is attached to.
func findVolumes(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeVolumesPaginator(f.ec2, &ec2.DescribeVolumesInput{}), func(page *ec2.DescribeVolumesOutput) {
		for _, v := range page.Volumes {
			i, ok := f.item(aws.ToString(v.VolumeId), string(v.State), ec2Tags(v.Tags), "")
			if !ok || v.State == types.VolumeStateDeleted {
				continue
			}
			for _, a := range v.Attachments {
				i.with = append(i.with, aws.ToString(a.InstanceId))
			}
			if v.VolumeType == types.VolumeTypeGp3 {
				f.cost(&i, "ebs.gp3", float64(aws.ToInt32(v.Size)))
			}
			items = append(items, i)
		}
	})
	return items, err
}

func findSnapshots(ctx context.Context, f *finder) (items []Item, err error) {
	err = pages(ctx, ec2.NewDescribeSnapshotsPaginator(f.ec2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}}), func(page *ec2.DescribeSnapshotsOutput) {
		for _, s := range page.Snapshots {
			if i, ok := f.item(aws.ToString(s.SnapshotId), fmt.Sprintf("at most %d GiB", aws.ToInt32(s.VolumeSize)), ec2Tags(s.Tags), ""); ok {
				f.cost(&i, "ebs.snapshot", float64(aws.ToInt32(s.VolumeSize)))
				items = append(items, i)
			}
		}
	})
	return items, err
}
