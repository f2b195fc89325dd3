package report

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	pictureFile = flag.String("picture", "", "write a picture of a report to this PNG file")
	pictureOf   = flag.String("of", "", "the report of which the picture is made; none is the one of these tests")
)

// newBrowser is a tab of a headless Chromium without a network, which is talked to through a pipe.
func newBrowser(t *testing.T) context.Context {
	path, err := exec.LookPath("chromium")
	if err != nil {
		path, err = exec.LookPath("google-chrome") // as on GitHub's runners
	}
	if err != nil {
		t.Skip("chromium is not installed: on Debian, apt-get install chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	// The sandbox needs user namespaces, which a container may not have; the page is the project's own.
	ctx, stop := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	_, err = chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: true, DownloadThroughput: -1, UploadThroughput: -1}},
	})
	require.NoError(t, err)
	return ctx
}

// written is the URL of the report, written to a file.
func written(t *testing.T, r Report) string {
	path := filepath.Join(t.TempDir(), "report.html")
	file, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, r.HTML(file))
	require.NoError(t, file.Close())
	return "file://" + path
}

// show sets the width of the window, and whether its user prefers light or dark pages, and opens the page.
func show(t *testing.T, ctx context.Context, url string, width int64, scheme string) {
	require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)))
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(t, err)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url)))
}

// heard is what a tab asked for and complained about.
type heard struct {
	mu                 sync.Mutex
	requests, messages []string
}

func listen(t *testing.T, ctx context.Context) *heard {
	h := &heard{}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		h.mu.Lock()
		defer h.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			h.requests = append(h.requests, e.Request.URL)
		case *runtime.EventExceptionThrown:
			h.messages = append(h.messages, "exception: "+e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			h.messages = append(h.messages, fmt.Sprintf("console: %s", e.Type))
		case *log.EventEntryAdded:
			h.messages = append(h.messages, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
		}
	}))
	return h
}

// all are the requests and the messages so far. What the page caused before is among them: events come in order with
// answers, and this asks the page something.
func (h *heard) all(t *testing.T, ctx context.Context) (requests, messages []string) {
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.readyState === 'complete'"))
	require.NoError(t, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests, h.messages
}

var widths = []int64{375, 768, 1440}

//go:embed testdata/sweep.js
var sweepJS string

type sweep struct {
	Boxes    int      `json:"boxes"`
	Texts    int      `json:"texts"`
	Cards    int      `json:"cards"`
	Problems []string `json:"problems"`
	Least    float64  `json:"least"`
}

func TestNothingOverflowsAndEveryTextIsReadable(t *testing.T) {
	ctx := newBrowser(t)
	for _, kind := range []struct {
		name   string
		report Report
		// The fewest boxes and texts that the sweep must have seen.
		boxes, texts int
	}{
		{"change", changed(t, resources(t)), 1500, 1000}, {"rehearsal", rehearsed(resources(t)), 1400, 900}, {"hostile", hostile(), 20000, 10000},
	} {
		url := written(t, kind.report)
		for _, width := range widths {
			for _, scheme := range []string{"light", "dark"} {
				t.Run(fmt.Sprintf("%s %d %s", kind.name, width, scheme), func(t *testing.T) {
					show(t, ctx, url, width, scheme)
					found, err := chromedp.Run(ctx, chromedp.Evaluate[sweep](sweepJS))
					require.NoError(t, err)
					assert.Empty(t, found.Problems)
					assert.Greater(t, found.Boxes, kind.boxes)
					assert.Greater(t, found.Texts, kind.texts)
					assert.Greater(t, found.Cards, 50)
					t.Logf("%d boxes, %d texts, least contrast %.2f", found.Boxes, found.Texts, found.Least)
				})
			}
		}
	}
}

func TestLightAndDarkDiffer(t *testing.T) {
	ctx := newBrowser(t)
	url := written(t, rehearsed(resources(t)))
	backgrounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		show(t, ctx, url, 1440, scheme)
		background, err := chromedp.Run(ctx, chromedp.Evaluate[string]("getComputedStyle(document.body).backgroundColor"))
		require.NoError(t, err)
		backgrounds[background] = true
	}
	assert.Len(t, backgrounds, 2)
}

// Who prefers dark pages prints a light one, with what is folded on the screen.
func TestThePrintedPageIsLightAndUnfolded(t *testing.T) {
	ctx := newBrowser(t)
	show(t, ctx, written(t, changed(t, resources(t))), 720, "dark")
	const folded = `[...document.querySelectorAll("details:not([open]):not(.gantt details) > :not(summary)")].filter(e => e.checkVisibility() && e.getClientRects().length > 0).length`
	unfolded, err := chromedp.Run(ctx, chromedp.Evaluate[int](folded))
	require.NoError(t, err)
	assert.Zero(t, unfolded)
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	require.NoError(t, err)
	unfolded, err = chromedp.Run(ctx, chromedp.Evaluate[int](folded))
	require.NoError(t, err)
	assert.Greater(t, unfolded, 10)
	found, err := chromedp.Run(ctx, chromedp.Evaluate[sweep](sweepJS))
	require.NoError(t, err)
	assert.Empty(t, found.Problems)
	assert.Greater(t, found.Texts, 1000)
	background, err := chromedp.Run(ctx, chromedp.Evaluate[string]("getComputedStyle(document.body).backgroundColor"))
	require.NoError(t, err)
	assert.Equal(t, "rgb(255, 255, 255)", background)
}

func TestThePageAsksForNothingAndComplainsOfNothing(t *testing.T) {
	ctx := newBrowser(t)
	for name, report := range map[string]Report{"change": changed(t, resources(t)), "rehearsal": rehearsed(resources(t)), "hostile": hostile()} {
		url := written(t, report)
		tab, leave := context.WithCancel(ctx)
		h := listen(t, tab)
		show(t, ctx, url, 1440, "light")
		requests, messages := h.all(t, ctx)
		leave()
		assert.Equal(t, []string{url}, requests, name)
		assert.Empty(t, messages, name)
	}

	// What listens here hears pages that do.
	bad := filepath.Join(t.TempDir(), "bad.html")
	require.NoError(t, os.WriteFile(bad, []byte(`<img src="https://example.invalid/x"><script>console.error("no"); throw new Error("no")</script>`), 0o600))
	h := listen(t, ctx)
	show(t, ctx, "file://"+bad, 1440, "light")
	requests, messages := h.all(t, ctx)
	assert.Contains(t, requests, "https://example.invalid/x")
	assert.GreaterOrEqual(t, len(messages), 3)
}

// A box of the picture leads to its component, which opens by itself.
func TestABoxLeadsToItsResources(t *testing.T) {
	ctx := newBrowser(t)
	show(t, ctx, written(t, rehearsed(resources(t))), 1440, "light")
	target, err := chromedp.Run(ctx, chromedp.Evaluate[string](`
		const box = document.querySelector("svg a.box[aria-label^='Network ']");
		box.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true}));
		const target = document.querySelector(":target");
		target && target.checkVisibility() ? target.dataset.urn : "nothing"`))
	require.NoError(t, err)
	assert.Equal(t, "urn:pulumi:dev::expense::expense:cluster:Network::expense", target)
}

// TestPicture makes the picture of the README: go test ./internal/report -run TestPicture -picture FILE.png -of REPORT.html
// (paths from this folder, or absolute). It shows a report from its head to the end of the first timeline.
func TestPicture(t *testing.T) {
	if *pictureFile == "" {
		t.Skip("no -picture was asked for")
	}
	ctx := newBrowser(t)
	url := written(t, rehearsed(resources(t)))
	if *pictureOf != "" {
		path, err := filepath.Abs(*pictureOf)
		require.NoError(t, err)
		url = "file://" + path
	}
	const width, scale = 1000, 1.4
	show(t, ctx, url, width, "light")
	bottom, err := chromedp.Run(ctx, chromedp.Evaluate[float64](`document.querySelector(".gantt").getBoundingClientRect().bottom`))
	require.NoError(t, err)
	beyond := true
	shot, err := chromedp.Call(ctx, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond, Clip: &cdppage.Viewport{Width: width, Height: bottom + 16, Scale: scale},
	})
	require.NoError(t, err)
	assert.Less(t, len(shot.Data), 400_000, "too large for a README")
	require.NoError(t, os.WriteFile(*pictureFile, shot.Data, 0o644))
}
