// What an event says. Nothing about it is certain: whoever creates a workload chooses
// the names in it.

const PREFIX = 'io.github.sse-secure-systems.connaisseur.';
const SUFFIX = '.v1';

// The outcomes of admissions, and what stands for everything else.
export const OTHER = 'Other';
export const OUTCOMES = ['Denied', 'Detected', 'Inconclusive', 'Excepted', 'LastKnownGood', 'Allowed', 'Skipped', 'Trusted', OTHER];

// text is a value as text. Characters that cannot be seen, or that change the
// direction of others, are written out.
export function text(value) {
  if (value === undefined || value === null) return '';
  const s = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return s.replace(/[^\P{C}\n\t]/gu, (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}

const object = (value) => (value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {});

export const list = (value) => (Array.isArray(value) ? value : []);

// describe takes from an entry what is shown of it.
export function describe({ count, first, event }) {
  const type = text(event.type);
  const data = object(event.data);
  const workload = object(data.workload);
  const images = list(data.images).map(object);
  const outcome = OUTCOMES.includes(data.outcome) ? data.outcome : OTHER;
  const known = type.startsWith(PREFIX) && type.endsWith(SUFFIX);
  return {
    key: JSON.stringify([event.source, event.id]),
    count,
    first: new Date(first),
    time: new Date(event.time ?? first),
    type: known ? type.slice(PREFIX.length, -SUFFIX.length) : type,
    outcome,
    namespace: text(data.namespace ?? event.namespace),
    kind: text(workload.kind),
    name: text(workload.name) || (text(event.subject) || text(event.source)).split('/').pop(),
    user: text(data.user),
    message: text(data.message ?? list(data.errors)[0] ?? list(data.insecure)[0] ?? data.reason),
    images,
    more: Math.max(0, (Number(data.imageCount) || 0) - images.length),
    data,
    event,
    words: text(JSON.stringify(event)).toLowerCase(),
  };
}
