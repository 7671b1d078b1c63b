package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// clusterIdentifier is a key of config-alerting.
const clusterIdentifier = "clusterIdentifier"

// alertLists are the keys of those that alerts are sent to.
var alertLists = []string{"admitRequest", "rejectRequest"}

// receiverKeys are those of a receiver.
var receiverKeys = []string{"template", "receiverUrl", "priority", "customHeaders", "payloadFields", required}

// required is the key by which requests are denied if an alert cannot be sent.
const required = "failIfAlertSendingFails"

// ownTemplates is the ConfigMap for templates that are not among those shipped.
const ownTemplates = "connaisseur-alert-templates"

// receiver is one of alerts.
type receiver struct {
	path   string
	list   string
	fields map[string]any
	broken bool
}

// takeAlerting reads the receivers of alerts. Their URLs and headers hold secrets.
func (m *migration) takeAlerting(f *file) {
	if f.alerting == nil {
		return
	}
	sections, ok := f.alerting.(map[string]any)
	if !ok {
		m.lost("alerting", "must be a mapping")
		return
	}
	kept, _ := m.only(section{Path: "alerting", Fields: sections}, append([]string{clusterIdentifier}, alertLists...))
	if id := kept[clusterIdentifier]; id != nil && m.placeholders("alerting."+clusterIdentifier, id) {
		m.cluster = strings.TrimSpace(fmt.Sprint(id))
	}
	for _, list := range alertLists {
		fields, _ := kept[list].(map[string]any)
		at := section{Path: "alerting." + list}.Key("receivers")
		for i, item := range m.list(at, fields["receivers"]) {
			m.takeReceiver(&receiver{path: fmt.Sprintf("%s[%d]", at, i), list: list}, item)
		}
	}
}

func (m *migration) takeReceiver(r *receiver, item any) {
	fields, ok := item.(map[string]any)
	if !ok {
		m.lost(r.path, "must be a mapping")
		return
	}
	r.fields, _ = m.only(section{Path: r.path, Fields: fields}, receiverKeys)
	if !m.placeholders(r.path, r.fields) {
		m.lost(r.path, "is left out%s", r.consequence())
		return
	}
	name, _ := r.fields["template"].(string)
	if name != "" && !slices.Contains(alert.Templates(), name) {
		own := "configmap://" + ownTemplates + "/" + name + ".json"
		r.fields["template"] = own
		until := "nothing can be sent until then"
		if r.fields[required] == true {
			until += ", and what it must be told of is denied"
		}
		m.lost(r.path+".template", "%s.json is not in this file: put it into the ConfigMap %s; %s", name, ownTemplates, until)
	}
	m.receivers = append(m.receivers, r)
}

// consequence says what it means that a receiver is lost.
func (r *receiver) consequence() string {
	if r.fields[required] == true {
		return ", and requests are no longer denied because it cannot be reached (" + required + ")"
	}
	return ""
}

// receiversOf lists the receivers that are written into a list.
func (m *migration) receiversOf(list string) []*receiver {
	return slices.DeleteFunc(slices.Clone(m.receivers), func(r *receiver) bool { return r.list != list })
}

// alerting is the content of config-alerting; empty if there is none.
func (m *migration) alerting() map[string]string {
	data := map[string]string{}
	if m.cluster != "" {
		data[clusterIdentifier] = strings.TrimSuffix(text(m.cluster), "\n")
	}
	for _, list := range alertLists {
		items := []any{}
		for _, r := range m.receiversOf(list) {
			items = append(items, r.fields)
		}
		if len(items) > 0 {
			data[list] = text(map[string]any{"receivers": items})
		}
	}
	return data
}

var atReceiver = regexp.MustCompile(`^(\w+)\.receivers\[(\d+)\](.*)$`)

// blameReceiver has a receiver left out.
func (m *migration) blameReceiver(at []string, message string) (changed bool) {
	r := m.receiversOf(at[1])[number(at[2])]
	if r.broken {
		return false
	}
	r.broken = true
	m.lost(r.path+at[3], "%s: the receiver is left out%s", message, r.consequence())
	return true
}

// adviseReceivers passes on what is to be said of the receivers that are carried
// over: most of all that secrets do not belong where they are.
func (m *migration) adviseReceivers(warnings strict.Errors) {
	for _, w := range warnings {
		at := atReceiver.FindStringSubmatch(w.Path)
		if w.Source == config.AlertingName && at != nil && at[3] != ".template" { // of which all is said
			m.note(m.receiversOf(at[1])[number(at[2])].path+at[3], "%s", w.Message)
		}
	}
}
