// Package tags has the tags that the program gives resources by hand. Those that are on every resource are the provider's.
package tags

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Name is the tag that AWS's console shows as a resource's name.
func Name(name string) pulumi.StringMap {
	return pulumi.StringMap{"Name": pulumi.String(name)}
}
