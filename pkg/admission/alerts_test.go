package admission

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// people are told, or cannot be.
type people struct {
	err  error // for what is let in
	told []string
}

func (*people) Active() bool { return true }

func (p *people) Send(_ context.Context, a *finding.Admission) error {
	p.told = append(p.told, fmt.Sprint(a.Outcome, " ", a.Reason, " ", a.Allowed))
	if a.Allowed {
		return p.err
	}
	return nil
}

// Row T37 is that a dry run tells nobody.
func TestPeopleAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lenient := newWorld(t)
	lenient.setting(func(s *verify.Snapshot) { s.Features.DetectionMode = true })
	for name, row := range map[string]struct {
		world   *world
		image   string
		dryRun  bool
		err     error
		webhook func(*world) *Handler
		told    []string
		denied  []string
	}{
		"signed, at the first webhook":       {world: w, image: w.signed.String(), webhook: (*world).mutating},
		"signed, at the second":              {world: w, image: w.signed.Pinned(), webhook: (*world).validating, told: []string{"Trusted  true"}},
		"unsigned":                           {world: w, image: w.unsigned.String(), webhook: (*world).mutating, told: []string{"Denied NoSignature false"}, denied: []string{"NoSignature"}},
		"unsigned, in detection mode":        {world: lenient, image: lenient.unsigned.String(), webhook: (*world).validating, told: []string{"Detected NoSignature true"}},
		"a dry run":                          {world: w, image: w.unsigned.String(), dryRun: true, webhook: (*world).mutating, denied: []string{"NoSignature"}},
		"signed, as a dry run":               {world: w, image: w.signed.Pinned(), dryRun: true, err: errors.New("dead"), webhook: (*world).validating},
		"nobody can be told":                 {world: w, image: w.signed.Pinned(), err: errors.New("receiver on-call is dead"), webhook: (*world).validating, told: []string{"Trusted  true", "Inconclusive AlertNotSent false"}, denied: []string{"AlertNotSent", "receiver on-call is dead"}},
		"nobody can be told of a detection":  {world: lenient, image: lenient.unsigned.String(), err: errors.New("receiver on-call is dead"), webhook: (*world).validating, told: []string{"Detected NoSignature true", "Inconclusive AlertNotSent false"}, denied: []string{"AlertNotSent"}},
		"nobody need be told of a rejection": {world: w, image: w.unsigned.String(), err: errors.New("dead"), webhook: (*world).mutating, told: []string{"Denied NoSignature false"}, denied: []string{"NoSignature"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &people{err: row.err}
			request := create(allKinds["Pod"], podSpec(row.image))
			request.DryRun = &row.dryRun
			got := row.webhook(row.world).WithFindings(nil, p).Admit(t.Context(), request)
			checkAnswer(t, got, row.denied)
			if diff := cmp.Diff(row.told, p.told); diff != "" {
				t.Errorf("what people are told (-want +got):\n%s", diff)
			}
		})
	}
}

func checkAnswer(t *testing.T, got *admissionv1.AdmissionResponse, denied []string) {
	t.Helper()
	if denied == nil {
		wantAllowed(t, got)
		return
	}
	wantDenied(t, got, denied...)
}

// Two denials of an object with different images are two findings.
func TestTheFindingNamesImagesOfWhichNobodyCouldBeTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := &sinkhole{}
	w.validating().WithFindings(f, &people{err: errors.New("dead")}).Admit(t.Context(), create(allKinds["Pod"], podSpec(w.signed.Pinned())))
	findings := f.take()
	if len(findings) != 1 {
		t.Fatalf("%d findings", len(findings))
	}
	if got := findings[0]; got.Type != finding.Inconclusive || got.Allowed || got.Reason != "AlertNotSent" || len(got.Images) != 1 || got.Images[0].Reference != w.signed.Pinned() || got.PolicyRevision == "" {
		t.Errorf("%+v", got)
	}
}
