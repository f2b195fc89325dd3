// Package tags has the tags that the program sets on single resources. The provider sets those of all resources.
package tags

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Name is the tag that the AWS console shows as a resource's name.
func Name(name string) pulumi.StringMap {
	return pulumi.StringMap{"Name": pulumi.String(name)}
}
