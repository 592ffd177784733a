// Package checks tells a Run as check runs on GitHub: Render puts what is true
// of the run into words, Publisher brings the words to the commit.
package checks

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

// The limits of a check run, and ours where they are narrower.
const (
	titleLimit   = 80    // GitHub takes 255, its pages show about 80
	nameLimit    = 255   // not documented; titles have the same
	summaryLimit = 65535 // characters on GitHub's side, bytes on ours
)

// Render says what is true of run at now, as the check run of one place. It
// is pure: the same arguments give the same check run. base is the address of
// the service; where it is no absolute one, the check run links nowhere.
func Render(run twin.Run, place twin.Place, base string, now time.Time) github.CheckRun {
	w := writer{run: run, link: detailsURL(base, run.PageKey), successor: detailsURL(base, run.SupersededByKey), now: now}
	c := github.CheckRun{
		Name:       Name(run.Spec.Name),
		HeadSHA:    place.SHA,
		ExternalID: ExternalID(run.ID, place.Role),
		DetailsURL: w.link,
	}
	switch run.State {
	case twin.Queued:
		c.Status = "queued"
		w.queued()
	case twin.Running:
		c.Status = "in_progress"
		c.StartedAt = run.StartedAt
		if place.Role == twin.Merge {
			c.Title = w.atWork()
		} else {
			w.running()
		}
	case twin.Succeeded:
		c.Conclusion = "success"
		w.succeeded()
	case twin.Failed:
		c.Conclusion = "failure"
		if run.Trouble().Code.NeedsPerson() {
			c.Conclusion = "action_required"
		}
		w.failed()
	case twin.Cancelled:
		c.Conclusion = "cancelled"
		w.cancelled()
	case twin.Superseded:
		c.Conclusion = "skipped"
		w.superseded()
	}
	if run.State.Terminal() {
		c.Status, c.StartedAt, c.CompletedAt = "completed", run.StartedAt, run.FinishedAt
		c.Buttons = []github.Button{{Label: "Sync newest", Description: "Copy the source's current state now", Identifier: github.SyncNow}}
	}
	w.footer()
	c.Title = cut(oneLine(cmp.Or(c.Title, run.Headline())), titleLimit)
	c.Summary = cutSummary(w.String(), summaryLimit)
	return c
}

// Name is the name of a Twin's check run. Branch protection rules name it.
func Name(twinName string) string { return cut(oneLine("Neon Twin / "+twinName), nameLimit) }

// ExternalID is what a check run is found again by: one for each run and role.
func ExternalID(run int64, role twin.Role) string { return fmt.Sprintf("%d:%s", run, role) }

// detailsURL is the address of the run's page, or nothing: GitHub refuses a
// whole check run whose address is not absolute.
func detailsURL(base, key string) string {
	if key == "" || !absolute(base) {
		return ""
	}
	return strings.TrimRight(base, "/") + "/runs/" + url.PathEscape(key)
}

// absolute reports whether base is an http or https address to build on.
func absolute(base string) bool {
	u, err := url.Parse(base)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
