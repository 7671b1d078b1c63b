package migrate

import (
	corev1 "k8s.io/api/core/v1"
)

// MaxBytes bounds a file: what is in it must fit into ConfigMaps, of at most
// 1 MiB each.
const MaxBytes = 2 << 20

// maxRules bounds a policy: each rule is compared with each other.
const maxRules = 1000

// Result is what became of a file.
type Result struct {
	// ConfigMaps and Secrets are to be applied, in this order.
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
	// Findings begin with what is lost.
	Findings []Finding
}

// Lost tells whether something could not be carried over.
func (r Result) Lost() bool { return findings(r.Findings).any(Lost) }

// Migrate reads the values of the chart, its rendered configuration, or the
// ConfigMap that holds the latter, and gives the objects for the namespace. The
// error says why the text is none of these.
func Migrate(text []byte, namespace string) (Result, error) {
	m, err := translate(text, namespace)
	if err != nil {
		return Result{}, err
	}
	return m.result()
}

func translate(text []byte, namespace string) (*migration, error) {
	file, err := read(text)
	if err != nil {
		return nil, err
	}
	m := &migration{namespace: namespace, features: map[string]string{}}
	m.unknownKeys(file)
	m.takeValidators(file)
	if err := m.takeRules(file); err != nil {
		return nil, err
	}
	m.takeFeatures(file)
	m.takeDeployment(file)
	m.takeAlerting(file)
	m.settle()
	if m.hasPolicy {
		m.keepOrder()
		m.compare()
	}
	return m, nil
}

// migration is one under way.
type migration struct {
	findings
	namespace  string
	hasPolicy  bool // or else the file says nothing about it
	validators []*validator
	rules      []*rule
	features   map[string]string // of config-features
	logins     []login
	cluster    string // clusterIdentifier
	receivers  []*receiver
}
