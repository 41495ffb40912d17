// The console's only script: it swaps in what the server rendered whenever an
// event arrives, and turns buttons into requests of the API. It renders no data
// of its own except by textContent.
'use strict';

const live = document.getElementById('live');
const actions = document.getElementById('actions');

// Without an event for this long the page says that it may be out of date.
const STALE_MS = 40000;

if (live) {
  let busy = false, again = false, last = Date.now();

  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const res = await fetch(live.dataset.live, { headers: { Accept: 'text/html' } });
      if (res.ok) {
        live.innerHTML = await res.text(); // escaped by html/template
        last = Date.now();
        enable();
      }
    } catch (e) { /* the next event or tick tries again */ }
    busy = false;
    if (again) { again = false; setTimeout(refresh, 500); }
  };

  const source = new EventSource(live.dataset.events);
  source.onmessage = refresh;
  setInterval(() => {
    live.classList.toggle('stale', Date.now() - last > STALE_MS);
    refresh();
  }, 5000);
}

function state() { return document.getElementById('state').dataset; }

function enable() {
  if (!actions || !document.getElementById('state')) return;
  const s = state(), armed = s.armed === 'true', run = s.run !== '';
  const on = {
    arm: !run, disarm: armed, approve: armed && !run, hold: s.held !== 'true', release: s.held === 'true',
    run: armed && !run, drill: armed && !run, rollback: run, acknowledge: s.unacknowledged === 'true', check: true,
  };
  for (const b of actions.querySelectorAll('button[data-verb]')) b.disabled = !on[b.dataset.verb];
}

const questions = {
  arm: ['Arm this plan', 'From now on an alert may start exactly this, once, if every gate is open. In dry run nothing is touched.'],
  approve: ['Approve this plan', 'You vouch for exactly these statements. Whoever armed may not approve.'],
  run: ['Start without waiting for the alert', 'Every other gate still has to be open.'],
  drill: ['Start the drill', 'A measured outage: the source gives up its role and takes it back. Nothing moves.'],
  rollback: ['Go back to the source', 'The run turns round where that is still possible. Once S3 was sent on the target it is refused.'],
};

function say(text) { document.getElementById('answer').textContent = text; }

async function call(path, options) {
  const res = await fetch(actions.dataset.api + path, options);
  let body = {};
  try { body = await res.json(); } catch (e) { /* an answer without a body */ }
  if (!res.ok) throw new Error([body.error || 'HTTP ' + res.status, body.remedy].filter(Boolean).join('. '));
  return body;
}

function describe(plan) {
  const lines = ['hash ' + plan.hash, ''];
  for (const s of plan.statements || []) lines.push('-- ' + s.side + (s.note ? ': ' + s.note : ''), s.sql);
  return lines.concat(plan.notes || []).join('\n');
}

async function act(verb) {
  if (verb === 'check') {
    say('Reading both sides …');
    const c = await call('/check');
    const shut = (c.gates || []).filter((g) => g.state !== 'open');
    say('Readiness: ' + c.readiness + '\n' + shut.map((g) => g.name + ' ' + g.state + ': ' + g.reason).join('\n'));
    return;
  }
  const body = {};
  if (questions[verb]) {
    const dialog = document.getElementById('confirm');
    document.getElementById('confirm-title').textContent = questions[verb][0];
    document.getElementById('confirm-text').textContent = questions[verb][1];
    const text = document.getElementById('confirm-plan');
    const list = document.getElementById('confirm-checklist');
    text.hidden = true;
    list.hidden = true;
    if (verb === 'arm' || verb === 'approve') {
      say('Reading both sides …');
      const drill = verb === 'approve' && state().drill === 'true';
      const plan = await call('/plan' + (drill ? '?drill=true' : ''));
      say('');
      if (verb === 'approve' && plan.hash !== state().hash) {
        throw new Error('The plan is not the armed one any more: armed ' + state().hash + ', now ' + plan.hash + '. Arm again.');
      }
      body.plan_hash = plan.hash;
      text.textContent = describe(plan);
      text.hidden = false;
      list.hidden = verb !== 'arm' || !list.querySelector('input');
    }
    dialog.returnValue = '';
    dialog.showModal();
    await new Promise((done) => dialog.addEventListener('close', done, { once: true }));
    if (dialog.returnValue !== 'yes') { say('Nothing was done.'); return; }
    body.reason = document.getElementById('confirm-reason').value;
    if (verb === 'arm' && !list.hidden) {
      body.checklist = [...list.querySelectorAll('input:checked')].map((i) => i.value);
    }
  }
  await call('/' + verb, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  say(verb + ': done');
}

if (actions) {
  enable();
  actions.addEventListener('click', (e) => {
    const verb = e.target.dataset && e.target.dataset.verb;
    if (!verb) return;
    act(verb).catch((err) => say(err.message));
  });
}
