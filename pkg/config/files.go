package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// ReadFiles reads the ConfigMaps and Secrets of a YAML or JSON file, or of the
// files in a folder. Other kinds of objects are passed over. The namespace is
// that of config-policy; what is in another one is passed over too.
func ReadFiles(path string) (Objects, error) {
	names, err := YAMLFiles(path)
	if err != nil {
		return Objects{}, err
	}
	var found documents
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return Objects{}, err
		}
		if err := EachDocument(text, found.add); err != nil {
			return Objects{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(found.configMaps) == 0 {
		return Objects{}, fmt.Errorf("%s holds no ConfigMap", path)
	}
	return found.objects()
}

// documents are all ConfigMaps and Secrets that were found, of any namespace.
type documents struct {
	configMaps []*corev1.ConfigMap
	secrets    []*corev1.Secret
}

// objects picks those of config-policy's namespace.
func (d *documents) objects() (Objects, error) {
	o := Objects{Namespace: DefaultNamespace, ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}}
	for _, cm := range d.configMaps {
		if cm.Name == PolicyName && cm.Namespace != "" {
			o.Namespace = cm.Namespace
		}
	}
	for _, cm := range d.configMaps {
		if cm.Namespace != "" && cm.Namespace != o.Namespace && cm.Name != PolicyName {
			continue
		}
		if o.ConfigMaps[cm.Name] != nil {
			return Objects{}, fmt.Errorf("ConfigMap %s is defined twice", cm.Name)
		}
		o.ConfigMaps[cm.Name] = cm
	}
	for _, secret := range d.secrets {
		if secret.Namespace != "" && secret.Namespace != o.Namespace {
			continue
		}
		if o.Secrets[secret.Name] != nil {
			return Objects{}, fmt.Errorf("Secret %s is defined twice", secret.Name)
		}
		o.Secrets[secret.Name] = secret
	}
	return o, nil
}

// YAMLFiles lists the file itself, or the YAML and JSON files of a folder.
func YAMLFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var names []string
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) && !entry.IsDir() {
			names = append(names, filepath.Join(path, entry.Name()))
		}
	}
	if len(names) == 0 {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("the folder holds no YAML file")}
	}
	return names, nil
}

// EachDocument calls fn with each document of a YAML stream that is not empty.
func EachDocument(text []byte, fn func(document []byte) error) error {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for i := 1; ; i++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		var content any
		if err := yaml.Unmarshal(document, &content); err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		if content == nil {
			continue
		}
		if err := fn(document); err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
	}
}

// add takes a document in if it is a ConfigMap, a Secret or a list of objects.
func (d *documents) add(document []byte) error {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Items      []any  `json:"items"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		return fmt.Errorf("is no Kubernetes object: %w", err)
	}
	switch head.APIVersion + " " + head.Kind {
	case "v1 List":
		for i, item := range head.Items {
			text, err := yaml.Marshal(item)
			if err == nil {
				err = d.add(text)
			}
			if err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
	case "v1 ConfigMap":
		cm := &corev1.ConfigMap{}
		if err := yaml.UnmarshalStrict(document, cm); err != nil {
			return fmt.Errorf("ConfigMap: %w", err)
		}
		d.configMaps = append(d.configMaps, cm)
	case "v1 Secret":
		secret := &corev1.Secret{}
		if err := yaml.UnmarshalStrict(document, secret); err != nil {
			return fmt.Errorf("Secret: %w", err)
		}
		d.secrets = append(d.secrets, secret)
	}
	return nil
}
