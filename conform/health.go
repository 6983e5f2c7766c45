package conform

import (
	"context"
	"net/http"
)

func health(ctx context.Context, g *results) {
	x := g.send(ctx, call{method: healthCheck})
	fault := ""
	if x.Status != http.StatusOK {
		if fault = x.fault(); fault == "" {
			fault = "a success, but not 200"
		}
	}
	g.check(ctx, "health.serving", x, fault)
}
