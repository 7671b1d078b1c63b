// Puts the page together: what comes from the server, the filters, the rows.

import { describe, OUTCOMES, text } from './event.js';
import { Filters } from './filters.js';
import { make, Row, tone } from './row.js';

const MAX = 1000; // rows, as many as the server keeps
const RETRY = 3000; // milliseconds

const at = (id) => document.getElementById(id);
const filters = new Filters(location.search);
const rows = new Map(); // from the key of a finding, the oldest first
const waiting = new Map(); // what came during a pause, likewise
let paused = false;
let current = false; // whether all that came before the page is there
let dropped = 0;

// put takes a finding into a map as the newest, in which there are MAX at most.
function put(map, key, value, forget = () => {}) {
  map.delete(key);
  map.set(key, value);
  for (const [oldest, gone] of map) {
    if (map.size <= MAX) break;
    map.delete(oldest);
    forget(gone);
  }
}

function take(finding) {
  if (paused) {
    put(waiting, finding.key, finding);
  } else {
    const row = rows.get(finding.key) ?? new Row();
    row.show(finding);
    if (current) row.arrive();
    row.putFirst(at('rows'));
    put(rows, finding.key, row, (gone) => gone.remove());
  }
  refresh();
}

// refresh shows what the filters let through. It runs once for all that comes at the
// same time.
let due = 0;
function refresh() {
  due ||= setTimeout(() => {
    due = 0;
    const counts = new Map();
    let shown = 0;
    for (const row of rows.values()) {
      const near = filters.matchesButForOutcome(row.finding);
      if (near) counts.set(row.finding.outcome, (counts.get(row.finding.outcome) ?? 0) + 1);
      const ok = near && filters.matchesOutcome(row.finding);
      if (ok) shown++;
      row.pass(ok);
    }
    showOutcomes(counts);
    showChoices('type', [...rows.values()].map((row) => row.finding.type));
    showChoices('namespace', [...rows.values()].map((row) => row.finding.namespace));
    at('shown').textContent = `${shown} of ${rows.size} findings${dropped ? `; ${dropped} older ones are kept no more` : ''}`;
    at('empty').textContent = rows.size ? 'The filters let no finding through.' : 'No findings yet. They appear here as they come.';
    at('empty').hidden = shown > 0;
    at('clear').hidden = filters.query === '';
    at('pause').textContent = !paused ? 'Pause' : waiting.size ? `Resume (${waiting.size} new)` : 'Resume';
  }, 30);
}

// Buttons stay when counts change: one of them may have the focus.
const buttons = new Map(OUTCOMES.map((outcome) => {
  const count = make('span', { className: 'number' });
  const button = make('button', { type: 'button', className: `chip ${tone(outcome)}` }, outcome, ' ', count);
  button.dataset.outcome = outcome;
  button.addEventListener('click', () => {
    if (!filters.outcomes.delete(outcome)) filters.outcomes.add(outcome);
    changed();
  });
  return [outcome, { button, count }];
}));
at('outcomes').append(...[...buttons.values()].map(({ button }) => button));

function showOutcomes(counts) {
  for (const [outcome, { button, count }] of buttons) {
    count.textContent = counts.get(outcome) ?? 0;
    button.classList.toggle('none', !counts.has(outcome));
    button.setAttribute('aria-pressed', String(filters.outcomes.has(outcome)));
  }
}

// showChoices offers the values that there are, and the one that is chosen.
function showChoices(id, values) {
  const wanted = [...new Set([...values, filters[id]])].filter(Boolean).sort();
  const select = at(id);
  const there = [...select.options].slice(1).map((option) => option.value);
  if (wanted.length !== there.length || wanted.some((value, i) => value !== there[i])) {
    select.replaceChildren(select.options[0], ...wanted.map((value) => make('option', { value }, text(value))));
  }
  select.value = filters[id];
}

function changed() {
  history.replaceState(null, '', location.pathname + filters.query);
  refresh();
}

function bind() {
  for (const id of ['type', 'namespace', 'text']) {
    at(id).addEventListener('input', () => {
      filters[id] = at(id).value;
      changed();
    });
  }
  at('text').value = filters.text;
  at('filters').addEventListener('submit', (event) => event.preventDefault());
  at('filters').addEventListener('reset', () => {
    Object.assign(filters, new Filters(''));
    at('text').focus(); // the button goes
    changed();
  });
  at('pause').addEventListener('click', () => {
    paused = !paused;
    at('pause').setAttribute('aria-pressed', String(paused));
    if (!paused) waiting.forEach(take);
    if (!paused) waiting.clear();
    refresh();
  });
  at('rows').addEventListener('animationend', (event) => event.target.classList.remove('new'));
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input, select');
    if (event.key !== '/' || typing || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    at('text').focus();
  });
}

// say tells how the connection is.
function say(state, words) {
  at('status').dataset.state = state;
  at('status').textContent = words;
}

// connect listens to the server. A browser connects again by itself when the
// connection breaks, but gives up when the server answers and refuses.
function connect(last = '') {
  const source = new EventSource(`events?${new URLSearchParams({ last })}`);
  source.addEventListener('open', () => say('live', 'live'));
  source.addEventListener('message', (message) => {
    last = message.lastEventId;
    take(describe(JSON.parse(message.data)));
  });
  source.addEventListener('dropped', (message) => {
    current = true; // it comes after findings
    dropped = Number(message.data);
    refresh();
  });
  source.addEventListener('error', () => {
    say('lost', 'connecting again…');
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY, last);
  });
}

bind();
refresh();
connect();
