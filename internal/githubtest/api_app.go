package githubtest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const rateLimitRoute = "GET /rate_limit"

var appRoutes = []route{
	{"GET /app", "app", func(c *call) (int, any) { return http.StatusOK, c.app(c.st.App.ID) }},
	{"GET /app/hook/config", "app", func(c *call) (int, any) { return http.StatusOK, c.hookConfig() }},
	{"PATCH /app/hook/config", "app", (*call).patchHookConfig},
	{"GET /app/hook/deliveries", "app", (*call).listDeliveries},
	{"GET /app/hook/deliveries/{delivery_id}", "app", (*call).getDelivery},
	{"POST /app/hook/deliveries/{delivery_id}/attempts", "app", (*call).attemptDelivery},
	{"GET /app/installations", "app", (*call).listInstallations},
	{"GET /app/installations/{installation_id}", "app", func(c *call) (int, any) {
		return c.showInstallation(c.st.Installations[c.pathID("installation_id")])
	}},
	{"POST /app/installations/{installation_id}/access_tokens", "app", (*call).mint},
	{"GET /orgs/{org}/installation", "app", func(c *call) (int, any) {
		return c.showInstallation(c.st.installed(c.r.PathValue("org")))
	}},
	{"GET /users/{username}/installation", "app", func(c *call) (int, any) {
		return c.showInstallation(c.st.installed(c.r.PathValue("username")))
	}},
	{"GET /repos/{owner}/{repo}/installation", "app", func(c *call) (int, any) {
		in := c.st.installed(c.repo.Owner)
		if in == nil || !in.covers(c.repo) {
			return notFound()
		}
		return c.showInstallation(in)
	}},
	{"GET /installation/repositories", "token", (*call).listInstallationRepositories},
	{"DELETE /installation/token", "token", (*call).revoke},
	{rateLimitRoute, "any", (*call).rateLimit},
}

func (c *call) showInstallation(in *Installation) (int, any) {
	if in == nil {
		return notFound()
	}
	return http.StatusOK, c.installation(in)
}

func (c *call) listInstallations() (int, any) {
	out := []obj{}
	for _, id := range slices.Sorted(maps.Keys(c.st.Installations)) {
		out = append(out, c.installation(c.st.Installations[id]))
	}
	return http.StatusOK, page(c, out)
}

func (c *call) listInstallationRepositories() (int, any) {
	out := []obj{}
	for _, r := range c.st.repositoriesOf(c.in) {
		if c.token.reaches(c.in, r) {
			out = append(out, c.repository(r))
		}
	}
	return http.StatusOK, obj{"total_count": len(out), "repositories": page(c, out)}
}

func (c *call) rateLimit() (int, any) {
	b := c.budget(c.budgetName())
	core := obj{
		"limit": c.opts.RateLimit, "used": b.used, "reset": b.reset.Unix(),
		"remaining": max(0, c.opts.RateLimit-b.used),
	}
	return http.StatusOK, obj{"resources": obj{"core": core, "search": core}, "rate": core}
}

func (s *Server) hookConfig() obj {
	return obj{
		"url": s.st.App.HookURL, "content_type": s.st.App.ContentType, "insecure_ssl": "0", "secret": "********",
	}
}

func (c *call) patchHookConfig() (int, any) {
	var in struct {
		URL         *string `json:"url"`
		ContentType *string `json:"content_type"`
		Secret      *string `json:"secret"`
	}
	if status, answer := c.decode(&in); status != 0 {
		return status, answer
	}
	if in.URL != nil && checkReceiver(*in.URL) != nil {
		return invalid("Hook", "url", "is not supported because it isn't reachable: a sandbox sends to loopback only")
	}
	if in.ContentType != nil && *in.ContentType != "json" && *in.ContentType != "form" {
		return invalid("Hook", "content_type", "must be json or form")
	}
	app := &c.st.App
	if in.URL != nil {
		app.HookURL = *in.URL
	}
	if in.ContentType != nil {
		app.ContentType = *in.ContentType
	}
	if in.Secret != nil {
		app.PreviousSecret, app.Secret = app.Secret, *in.Secret
	}
	c.touch()
	return http.StatusOK, c.hookConfig()
}

// listDeliveries lists attempts, newest first, by cursor. Its status filter is
// as blind as GitHub's: "failure" means an answer of 400 to 599, so that a
// time-out or a refused connection is in neither list.
func (c *call) listDeliveries() (int, any) {
	c.forgetDeliveries()
	size := min(c.number("per_page", 30), 100)
	before := int64(1) << 62
	if at := c.r.URL.Query().Get("cursor"); at != "" {
		n, err := strconv.ParseInt(strings.TrimPrefix(at, "v1_"), 10, 64)
		if err != nil {
			return fails(http.StatusBadRequest, "Invalid cursor")
		}
		before = n
	}
	out := []obj{}
	for _, d := range slices.Backward(c.st.Deliveries) {
		if d.ID >= before || !statusMatches(c.r.URL.Query().Get("status"), d.StatusCode) {
			continue
		}
		if len(out) == size {
			q := c.r.URL.Query()
			q.Set("cursor", fmt.Sprintf("v1_%v", out[size-1]["id"]))
			c.w.Header().Set("Link", fmt.Sprintf(`<%s/app/hook/deliveries?%s>; rel="next"`, c.URL(), q.Encode()))
			break
		}
		out = append(out, c.deliveryItem(d))
	}
	return http.StatusOK, out
}

func statusMatches(filter string, code int) bool {
	switch filter {
	case "success":
		return code >= 200 && code < 400
	case "failure":
		return code >= 400 && code < 600
	}
	return true
}

func (c *call) deliveryItem(d *Delivery) obj {
	idOrNull := func(id int64) any {
		if id == 0 {
			return nil
		}
		return id
	}
	return obj{
		"id": d.ID, "guid": d.GUID, "delivered_at": stamp(d.DeliveredAt), "redelivery": d.Redelivery,
		"duration": d.Duration.Seconds(), "status": d.Status, "status_code": d.StatusCode,
		"event": d.Event, "action": orNull(d.Action), "throttled_at": nil,
		"installation_id": idOrNull(d.Installation), "repository_id": idOrNull(d.Repository),
	}
}

func (c *call) getDelivery() (int, any) {
	d := c.st.delivery(c.pathID("delivery_id"))
	if d == nil {
		return notFound()
	}
	o := c.deliveryItem(d)
	o["url"] = d.URL
	o["request"] = obj{"headers": d.RequestHeaders, "payload": d.Payload}
	o["response"] = obj{"headers": d.ResponseHeaders, "payload": cmp.Or(d.ResponseBody, "")}
	return http.StatusOK, o
}

func (c *call) attemptDelivery() (int, any) {
	d := c.st.delivery(c.pathID("delivery_id"))
	if d == nil {
		return notFound()
	}
	c.queue(d.again())
	return http.StatusAccepted, obj{}
}
