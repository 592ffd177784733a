package neontest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

const description = "../../../shared/contracts/neon-openapi.json"

// published is Neon's API description, nil where this machine has none.
var published = sync.OnceValues(func() (routers.Router, error) {
	b, err := os.ReadFile(description)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: "/api/v2"}}
	return gorillamux.NewRouter(doc)
})

func TestTheContractIsHere(t *testing.T) {
	t.Parallel()
	if router, err := published(); err != nil {
		t.Fatal(err)
	} else if router == nil {
		t.Skipf("SKIPPED, NOT TESTED: no API description at %s, so no request and no answer is held against it", description)
	}
}

// contract is a transport that fails the test where an answer, or with
// requests set a request, is not what the published description says. Where
// there is no description it only carries.
type contract struct {
	t        *testing.T
	requests bool

	mu   sync.Mutex
	seen map[string]bool // operations that were answered
}

func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	router, err := published()
	if err != nil {
		return nil, err
	}
	if router == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	var body []byte
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	copied := r.Clone(r.Context())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	route, params, err := router.FindRoute(copied)
	if err != nil {
		if c.requests {
			c.t.Errorf("%s %s is not in the description: %v", r.Method, r.URL.Path, err)
		}
		return http.DefaultTransport.RoundTrip(r)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: copied, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if c.requests {
		c.checkRequest(r.Context(), input, body)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(answer))
	c.checkAnswer(r.Context(), input, res, answer)
	return res, nil
}

func (c *contract) checkRequest(ctx context.Context, input *openapi3filter.RequestValidationInput, body []byte) {
	if err := openapi3filter.ValidateRequest(ctx, input); err != nil {
		c.t.Errorf("request %s %s: %v", input.Request.Method, input.Request.URL.Path, err)
	}
	op := input.Route.Operation
	for name := range input.Request.URL.Query() {
		if op.Parameters.GetByInAndName("query", name) == nil {
			c.t.Errorf("request %s %s: query parameter %q is not in the description", input.Request.Method, input.Request.URL.Path, name)
		}
	}
	if len(body) > 0 {
		c.checkNames("request", input, op.RequestBody.Value.Content, body)
	}
}

func (c *contract) checkAnswer(ctx context.Context, input *openapi3filter.RequestValidationInput, res *http.Response, body []byte) {
	err := openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: res.StatusCode, Header: res.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: input.Options,
	})
	if err != nil {
		c.t.Errorf("answer %d to %s %s: %v", res.StatusCode, input.Request.Method, input.Request.URL.Path, err)
	}
	described := input.Route.Operation.Responses.Status(res.StatusCode)
	if described == nil {
		described = input.Route.Operation.Responses.Default()
	}
	if len(body) > 0 {
		c.checkNames("answer", input, described.Value.Content, body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[input.Route.Operation.OperationID] = true
}

// checkNames finds fields that the description does not have. It allows
// unknown ones, so that a misspelled optional field would pass validation.
func (c *contract) checkNames(what string, input *openapi3filter.RequestValidationInput, content openapi3.Content, body []byte) {
	media := content.Get("application/json")
	var v any
	if err := json.Unmarshal(body, &v); err != nil || media == nil {
		c.t.Errorf("%s of %s %s is no described JSON: %v", what, input.Request.Method, input.Request.URL.Path, err)
		return
	}
	for _, name := range unknown("", v, media.Schema) {
		c.t.Errorf("%s of %s %s: field %s is not in the description", what, input.Request.Method, input.Request.URL.Path, name)
	}
}

func unknown(at string, v any, schemas ...*openapi3.SchemaRef) (found []string) {
	schemas = flatten(schemas)
	switch v := v.(type) {
	case []any:
		var items []*openapi3.SchemaRef
		for _, s := range schemas {
			if s.Value.Items != nil {
				items = append(items, s.Value.Items)
			}
		}
		for _, e := range v {
			found = append(found, unknown(at+"[]", e, items...)...)
		}
	case map[string]any:
		for name, e := range v {
			var under []*openapi3.SchemaRef
			for _, s := range schemas {
				if p := s.Value.Properties[name]; p != nil {
					under = append(under, p)
				} else if p := s.Value.AdditionalProperties.Schema; p != nil {
					under = append(under, p)
				}
			}
			if len(under) == 0 {
				found = append(found, at+"."+name)
				continue
			}
			found = append(found, unknown(at+"."+name, e, under...)...)
		}
	}
	return found
}

// flatten replaces each schema by itself and all that it is composed of.
func flatten(schemas []*openapi3.SchemaRef) (all []*openapi3.SchemaRef) {
	for _, s := range schemas {
		if s == nil || s.Value == nil {
			continue
		}
		all = append(all, s)
		for _, parts := range []openapi3.SchemaRefs{s.Value.AllOf, s.Value.AnyOf, s.Value.OneOf} {
			all = append(all, flatten(parts)...)
		}
	}
	return all
}
