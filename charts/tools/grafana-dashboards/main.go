// grafana-dashboards FILE …: reads each dashboard strictly by the types that Grafana's authors publish: no field that they do not know, none
// of another type, none that is missing. Prints what is wrong; exit status 1 where something is.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(statetimeline.VariantConfig())
	known.RegisterPanelcfgVariant(table.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	wrong := 0
	for _, name := range os.Args[1:] {
		if err := read(name); err != nil {
			fmt.Printf("%s: %v\n", name, err)
			wrong = 1
		}
	}
	os.Exit(wrong)
}

// read returns what is wrong with the dashboard in the file of that name; nil for nothing.
func read(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var board dashboard.Dashboard
	// An empty list comes back as an error, too.
	var wrong cog.BuildErrors
	if err := board.UnmarshalJSONStrict(text); err != nil && (!errors.As(err, &wrong) || len(wrong) > 0) {
		return err
	}
	return board.Validate()
}
