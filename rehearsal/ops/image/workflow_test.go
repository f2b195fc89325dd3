package image

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// complete are an entry's lines that an image otherwise adds.
const complete = "        command: [/app/server]\n        user: 1234\n        port: 8080\n"

// workflow is a stack for each app with build and without image.
func workflow(t *testing.T, mode Mode, apps string, change func(w *world)) *stack {
	s := aStack(t, apps, change)
	s.options.Name, s.options.Mode = "", mode
	return s
}

// A workflow writes the image alone, for its run.
func TestAWorkflowBuildsWhatHasNoImage(t *testing.T) {
	apps := backend + complete + "      ready: {image: 'example.com/ready:1'}\n"
	s := workflow(t, Push, apps, nil)
	file, calls, err := s.run()
	require.NoError(t, err)
	gone, come := changes(start+apps, file)
	assert.Empty(t, gone)
	s.options.Name = "backend"
	assert.Equal(t, []string{"        image: " + host + "/mine/backend:" + s.tag() + "@" + digestA + "\n"}, come)
	all := strings.Join(calls, "\n")
	assert.Equal(t, 1, strings.Count(all, "docker push"))
	for _, not := range []string{"docker buildx build", "docker start"} {
		assert.NotContains(t, all, not, "that was before there were credentials")
	}

	s = workflow(t, Push, backend, nil)
	file, calls, err = s.run()
	require.ErrorContains(t, err, "its entry in Pulumi.dev.yaml lacks: command: [/app/server, --verbose], user: 1234, port: 8080; add that")
	assert.Equal(t, start+backend, file)
	assert.NotContains(t, strings.Join(calls, "\n"), "docker push")
}

func TestAWorkflowPushesWhatWasTried(t *testing.T) {
	s := workflow(t, Push, backend+complete, func(w *world) {
		w.Fail = map[string]string{"docker image inspect": "Error response from daemon: No such image: mine/backend"}
	})
	file, calls, err := s.run()
	require.ErrorContains(t, err, "build it first, without credentials, with the mode try")
	assert.Equal(t, start+backend+complete, file)
	assert.NotContains(t, strings.Join(calls, "\n"), "docker push")
}

// Who writes the image by hand goes back by hand too: the workflow leaves it.
func TestAWorkflowLeavesAnImageThatIsWritten(t *testing.T) {
	for _, mode := range []Mode{Push, Take, Try} {
		apps := backend + complete + "        image: " + host + "/mine/backend:old@" + digestB + "\n"
		s := workflow(t, mode, apps, nil)
		file, calls, err := s.run()
		require.NoError(t, err)
		assert.Equal(t, start+apps, file)
		all := strings.Join(calls, "\n")
		assert.NotContains(t, all, "aws ")
		assert.Equal(t, mode == Try, strings.Contains(all, "docker buildx build"), "what is not built yet is tried: %s", mode)
		assert.Contains(t, s.out.String(), "is no longer what its image")
		assert.Contains(t, s.out.String(), "make image NAME=backend STACK=dev")
	}
	s := aStack(t, backend, nil)
	_, _, err := s.run()
	require.NoError(t, err)
	s.options.Name, s.options.Mode = "", Try
	_, calls, err := s.run()
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(calls, "\n"), "docker buildx build", "its image is of what is here")
}

// A pull request's run has no credentials, and asks for none.
func TestATryNeedsNoAccount(t *testing.T) {
	s := workflow(t, Try, backend+complete, nil)
	file, calls, err := s.run()
	require.NoError(t, err)
	assert.Equal(t, start+backend+complete, file)
	all := strings.Join(calls, "\n")
	assert.Contains(t, all, "docker buildx build")
	assert.Contains(t, all, "docker start")
	for _, not := range []string{"aws ", "docker push", "docker login"} {
		assert.NotContains(t, all, not)
	}
	assert.Zero(t, s.signIns)
	// A name without a value is docker's word for this process's own variable: a workflow's has a token for AWS's credentials.
	given := regexp.MustCompile(`--(?:env|build-arg)[ =](\S+)`).FindAllStringSubmatch(all, -1)
	assert.NotEmpty(t, given)
	for _, match := range given {
		assert.Contains(t, match[1], "=", "a variable of this process")
	}
}

// A preview builds nothing. It takes what the deployment will take, or the newest that there is.
func TestATakeBuildsNothing(t *testing.T) {
	s := workflow(t, Take, backend+complete, func(w *world) { w.Tags = map[string]string{"older": digestA, "newer": digestB} })
	file, calls, err := s.run()
	require.NoError(t, err)
	assert.Contains(t, file, "        image: "+host+"/mine/backend:newer@"+digestB+"\n")
	assert.Contains(t, s.out.String(), "This takes the newest, newer.")
	assert.NotContains(t, strings.Join(calls, "\n"), "docker")

	s = workflow(t, Take, backend+complete, func(w *world) { w.Tags = map[string]string{"newer": digestB} })
	named := s.options
	s.options.Name = "backend"
	tag := s.tag()
	s.options = named
	w := load(s.world)
	w.Tags[tag] = digestA
	w.save(s.world)
	file, _, err = s.run()
	require.NoError(t, err)
	assert.Contains(t, file, "        image: "+host+"/mine/backend:"+tag+"@"+digestA+"\n")

	s = workflow(t, Take, backend+complete, nil)
	file, _, err = s.run()
	require.NoError(t, err)
	assert.Equal(t, start+backend+complete, file)
	assert.Contains(t, s.out.String(), "no image of images/backend is pushed yet")
}

// The first update of a new app makes its repository.
func TestAWorkflowComesBackForARepository(t *testing.T) {
	for _, mode := range []Mode{Push, Take} {
		s := workflow(t, mode, backend+complete, func(w *world) { w.Tags = nil })
		file, calls, err := s.run()
		require.NoError(t, err)
		assert.True(t, s.again)
		assert.Equal(t, start+backend+complete, file)
		assert.NotContains(t, strings.Join(calls, "\n"), "docker buildx build")
		assert.Contains(t, s.out.String(), "backend: found no repository mine/backend")
	}
}

// The program that captures output is built where an app needs it.
func TestAWorkflowBuildsTheCaptureWhereItIsNeeded(t *testing.T) {
	s := workflow(t, Push, backend+complete+"        logs: {capture: static}\n", nil)
	file, _, err := s.run()
	require.NoError(t, err)
	assert.Contains(t, file, "{captureImage: "+host+"/mine/capture:")
	s = workflow(t, Push, "      ready: {image: 'example.com/ready:1'}\n", nil)
	_, calls, err := s.run()
	require.NoError(t, err)
	assert.Empty(t, calls, "no app is built here")
}
