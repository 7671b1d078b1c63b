// Which findings are shown. The page's address has it, so that it can be shared.

import { OUTCOMES } from './event.js';

export class Filters {
  constructor(query) {
    const given = new URLSearchParams(query);
    this.type = given.get('type') ?? '';
    this.namespace = given.get('namespace') ?? '';
    this.text = given.get('text') ?? '';
    this.outcomes = new Set(given.getAll('outcome').filter((o) => OUTCOMES.includes(o)));
  }

  get query() {
    const query = new URLSearchParams();
    for (const key of ['type', 'namespace', 'text']) if (this[key]) query.set(key, this[key]);
    for (const outcome of this.outcomes) query.append('outcome', outcome);
    return query.size ? `?${query}` : '';
  }

  // matchesButForOutcome leaves out the outcomes, which are counted with it.
  matchesButForOutcome(finding) {
    return (!this.type || finding.type === this.type)
      && (!this.namespace || finding.namespace === this.namespace)
      && this.text.toLowerCase().split(/\s+/).every((word) => finding.words.includes(word));
  }

  matchesOutcome(finding) {
    return this.outcomes.size === 0 || this.outcomes.has(finding.outcome);
  }
}
