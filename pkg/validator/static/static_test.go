package static_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/static"
)

func settings(fields map[string]any) strict.Object {
	return strict.Object{Path: "validators[0]", Fields: fields}
}

func TestAStaticValidatorGivesItsOneAnswer(t *testing.T) {
	t.Parallel()
	allow, errs := static.New("allow", settings(map[string]any{"approve": true}))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got, err := allow.Validate(t.Context(), validator.Request{})
	if diff := cmp.Diff(validator.Result{Allowed: true}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	deny, errs := static.New("deny", settings(map[string]any{"approve": false}))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got, err = deny.Validate(t.Context(), validator.Request{})
	if failure := validator.AsError(err); failure == nil || failure.Reason != validator.PolicyDenied || got.Allowed {
		t.Errorf("got %v, %v", got, err)
	}
	if allow.Fingerprint() == deny.Fingerprint() {
		t.Error("the two answers have the same fingerprint")
	}
}

func TestTheZeroValueDenies(t *testing.T) {
	t.Parallel()
	if got, err := new(static.Static).Validate(t.Context(), validator.Request{}); err == nil || got.Allowed {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhetherToApproveHasToBeSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields map[string]any
		want   string
	}{
		"nothing is said":       {nil, "validators[0].approve: is missing; it must be true or false"},
		"it is null":            {map[string]any{"approve": nil}, "validators[0].approve: is missing"},
		"it is a text":          {map[string]any{"approve": "true"}, "validators[0].approve: must be true or false, not a string"},
		"it is a number":        {map[string]any{"approve": 1}, "validators[0].approve: must be true or false, not a number"},
		"it is misspelled":      {map[string]any{"aprove": true}, `validators[0].aprove: unknown key; did you mean "approve"?`},
		"something stands next": {map[string]any{"approve": true, "trustRoots": nil}, "validators[0].trustRoots: unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, errs := static.New("x", settings(c.fields)); !strings.Contains(errs.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, errs)
			}
		})
	}
}

func TestARuleHasNoSettingsForAStaticValidator(t *testing.T) {
	t.Parallel()
	v, _ := static.New("x", settings(map[string]any{"approve": true}))
	_, errs := v.Bind(strict.Object{Path: "policy[0].with", Fields: map[string]any{"trustRoot": "alice", "threshold": 1}})
	if len(errs) != 2 {
		t.Fatalf("%d errors: %v", len(errs), errs)
	}
	for i, key := range []string{"threshold", "trustRoot"} {
		if want := "policy[0].with." + key + `: unknown key; a validator of type static, such as "x", takes no such setting`; !strings.HasPrefix(errs[i].Error(), want) {
			t.Errorf("want %q, got %v", want, errs[i])
		}
	}
	for _, none := range []map[string]any{nil, {}} {
		if _, errs := v.Bind(strict.Object{Path: "policy[0].with", Fields: none}); len(errs) > 0 {
			t.Errorf("no settings: %v", errs)
		}
	}
}
