// The expense platform as one Pulumi program. Package program lists its parts.
package main

import (
	"expense/program"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	pulumi.Run(program.Run)
}
