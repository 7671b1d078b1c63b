// One finding in the table. Every text becomes a text node: nothing that comes with
// an event is markup.

import { list, OTHER, text } from './event.js';

const TONES = {
  Denied: 'bad', Detected: 'warn', Inconclusive: 'unsure', Excepted: 'info', LastKnownGood: 'info', Allowed: 'good', Trusted: 'good',
  'config.rejected': 'bad', 'trust.expiring': 'warn',
};

// make makes an element; children that are strings become text.
export function make(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== ''));
  return element;
}

export const tone = (name) => TONES[name] ?? 'plain';

const badge = (name) => name && make('span', { className: `badge ${tone(name)}` }, name);

// brief is a text of a length that a table can have.
const brief = (s, length = 300) => (s.length > length ? `${s.slice(0, length)}…` : s);

let made = 0;

export class Row {
  constructor() {
    this.details = make('td', { colSpan: 6 });
    this.lower = make('tr', { className: 'details', hidden: true, id: `details-${++made}` }, this.details);
    this.toggle = make('button', { type: 'button', className: 'toggle', 'aria-expanded': 'false', 'aria-controls': this.lower.id });
    this.upper = make('tr', { className: 'finding' });
    this.upper.addEventListener('click', (event) => {
      // Who selects text, in order to copy it, does not want to see more.
      if (event.target === this.toggle || getSelection().isCollapsed) this.expand(!this.open);
    });
    this.open = false;
  }

  // show fills the row with a finding.
  show(finding) {
    this.finding = finding;
    const focused = document.activeElement === this.toggle;
    this.toggle.setAttribute('aria-label', brief(`Details of ${finding.kind} ${finding.name}`));
    this.upper.replaceChildren(
      make('td', null, this.toggle), make('td', null, time(finding.time)), make('td', null, ...outcome(finding)),
      make('td', null, ...workload(finding)), make('td', { className: 'user' }, ...user(finding)), make('td', null, ...summary(finding)),
    );
    if (focused) this.toggle.focus();
    this.expand(this.open);
  }

  expand(open) {
    this.open = open;
    this.lower.hidden = !open || this.upper.hidden;
    this.toggle.setAttribute('aria-expanded', String(open));
    this.details.replaceChildren(...(open ? details(this.finding) : []));
  }

  // pass tells whether the filters let the finding through.
  pass(ok) {
    this.upper.hidden = !ok;
    this.lower.hidden = !ok || !this.open;
  }

  // arrive marks the row as one that has just come.
  arrive() {
    this.upper.classList.add('new');
  }

  // putFirst makes it the first row of a table, and leaves the focus where it is.
  putFirst(rows) {
    const focused = this.upper.contains(document.activeElement) || this.lower.contains(document.activeElement) ? document.activeElement : null;
    rows.prepend(this.upper, this.lower);
    focused?.focus({ preventScroll: true });
  }

  remove() {
    this.upper.remove();
    this.lower.remove();
  }
}

function time(at) {
  if (Number.isNaN(at.valueOf())) return '';
  const today = at.toDateString() === new Date().toDateString();
  const shown = today ? at.toLocaleTimeString() : at.toLocaleString();
  return make('time', { dateTime: at.toISOString(), title: at.toISOString() }, shown);
}

function* outcome({ outcome: name, type, count, first }) {
  yield badge(name === OTHER ? brief(type, 80) : name);
  if (count > 1) {
    const said = `came ${count} times, first at ${first.toLocaleString()}`;
    yield make('span', { className: 'count', title: said }, make('span', { ariaHidden: 'true' }, `×${count}`), make('span', { className: 'hidden' }, said));
  }
  if (name !== OTHER) yield make('div', { className: 'muted' }, brief(type, 80));
}

function* workload({ name, namespace, kind }) {
  yield make('strong', null, brief(name));
  yield make('div', { className: 'muted' }, brief([namespace, kind].filter(Boolean).join(' · ')));
}

function* user({ user: name }) {
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? [];
  yield brief(account ?? name);
  if (account) yield make('div', { className: 'muted' }, brief(`${namespace} · ServiceAccount`));
}

// summary says the least: what is said of the first image, before what is said of all.
function* summary({ images, more, message, data, event }) {
  if (images.length > 0) {
    const others = images.length + more - 1;
    yield make('code', null, brief(text(images[0].reference)));
    if (others > 0) yield make('span', { className: 'muted' }, ` and ${others} more`);
  }
  const reason = text(images.length > 0 ? images[0].reason ?? data.reason : '');
  const said = text(images[0]?.message) || message || (images.length === 0 ? inline(data) || text(event.data) : '');
  if (reason || said) {
    yield make('div', { className: 'message' }, reason && make('b', null, `${brief(reason)} `), brief(said));
  }
}

// inline is an object in one line.
const inline = (data) => Object.entries(data).map(([key, value]) => `${text(key)}: ${text(value)}`).join(' · ');

function* details({ images, more, message, data, event, first, count }) {
  if (message) yield make('p', { className: 'said' }, message);
  for (const image of images) yield card(image);
  if (more > 0) yield make('p', { className: 'muted' }, `${more} more images are not in the event.`);
  if (images.length === 0) yield facts(Object.entries(data).map(([key, value]) => [text(key), value]));
  const request = data.request ?? {};
  yield facts(images.length === 0 ? [] : [
    ['Operation', [request.operation, request.webhook].map(text).filter(Boolean).join(' by ')],
    ['User', data.user],
    ['Let in', { true: 'yes', false: 'no' }[data.allowed] ?? ''],
    ['Owner', data.workload?.owner],
    ['Policy revision', data.policyRevision],
  ]);
  yield facts([
    ['Came', count > 1 ? `${count} times, first at ${first.toLocaleString()}` : ''],
    ['Subject', event.subject],
    ['Source', event.source],
    ['ID', event.id],
  ]);
  yield make('details', { 'aria-label': 'The event' }, make('summary', null, 'The event'), make('pre', { tabIndex: 0 }, text(JSON.stringify(event, null, 2))));
}

// card is what was decided about an image.
function card(image) {
  const rule = image.rule === undefined || image.rule === null ? '' : `policy[${text(image.rule)}] ${text(image.pattern)}`;
  return make('section', { className: 'image' },
    make('p', null, badge(brief(text(image.outcome), 40)), ' ', make('code', null, text(image.reference))),
    image.message || image.reason ? make('p', { className: 'said' }, make('b', null, text(image.reason)), ' ', text(image.message)) : '',
    facts([
      ['Field', image.field], ['Digest', image.digest], ['Rule', rule], ['Validator', image.validator],
      ['Trust roots', list(image.trustRoots).join(', ')], ['Signed by', list(image.signers).join(', ')],
      ['Let in, since', image.tolerated], ['Warnings', list(image.warnings).join('\n')],
    ]));
}

// facts lists names and values, but for those without one.
function facts(pairs) {
  return make('dl', null, ...pairs.filter(([, value]) => text(value)).map(([name, value]) => make('div', null, make('dt', null, name), make('dd', null, text(value)))));
}
