// The expense platform as one Pulumi program: see program/ for what it is made of.
package main

import (
	"expense/program"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	pulumi.Run(program.Run)
}
