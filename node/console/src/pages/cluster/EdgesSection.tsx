import { Button, Group, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import * as api from '../../api/calls';
import type { Edge } from '../../api/model';
import { edgesQuery, keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

/** How often the page asks how the edges do; their silence is no event. */
const lookEvery = 3_000;

/** The edges, when there are any: when each was heard last, what it holds and how far it is with what it keeps warm. */
export function EdgesSection() {
  const { t } = useText();
  const query = useQuery({ ...edgesQuery, refetchInterval: lookEvery });
  const edges = query.data?.items ?? [];
  if (edges.length === 0) return null;
  return (
    <Section title={t('edges.title')} lead={t('edges.lead')}>
      <ul className="plain-list">
        {edges.map((edge) => (
          <EdgeRow key={edge.id} edge={edge} />
        ))}
      </ul>
    </Section>
  );
}

function EdgeRow({ edge }: { edge: Edge }) {
  const { t, formats } = useText();
  const confirm = useConfirm();
  const remove = useAct({
    act: () => api.removeEdge(edge.id),
    done: t('edges.removed'),
    touches: [keys.edges],
  });
  const askRemove = async () => {
    const sure = await confirm({
      title: t('cluster.removeTitle', { name: edge.name }),
      text: t('edges.removeText'),
      action: t('action.remove'),
      dangerous: true,
    });
    if (sure) remove.mutate();
  };
  const facts: [string, string][] = [
    [t('edges.site'), edge.site],
    [t('cluster.contact'), contact(edge, t)],
    [t('cluster.publicAddress'), edge.public_address],
    [t('edges.holds'), edge.held_bytes == null ? '' : formats.bytes(edge.held_bytes)],
    [t('edges.warm'), warm(edge, t)],
  ];
  const serves = edge.alive && edge.serving;
  return (
    <li aria-label={edge.name}>
      <Group justify="space-between" wrap="nowrap" gap="sm">
        <Text fw={600} className="breakable">
          {edge.name}
        </Text>
        <span className={`state state-${serves ? 'green' : 'red'}`}>
          {t(serves ? 'edges.serves' : 'cluster.state.silent')}
        </span>
      </Group>
      <dl className="facts node-facts">
        {facts.map(
          ([name, value]) =>
            value && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        mt="sm"
        loading={remove.isPending}
        onClick={() => void askRemove()}
        aria-label={t('cluster.removeWhat', { name: edge.name })}
      >
        {t('action.remove')}
      </Button>
    </li>
  );
}

function contact(edge: Edge, t: ReturnType<typeof useText>['t']): string {
  if (edge.silent_ms == null) return t('cluster.contactNever');
  const seconds = Math.round(edge.silent_ms / 1000);
  return seconds < 2 ? t('cluster.contactNow') : t('cluster.contactAgo', { count: seconds });
}

/** Nothing for an edge that keeps nothing warm. */
function warm(edge: Edge, t: ReturnType<typeof useText>['t']): string {
  if (edge.warm.length === 0) return '';
  const sum = (of: 'assets' | 'whole') => edge.warm.reduce((all, one) => all + (one[of] ?? 0), 0);
  const far = t('edges.warmOf', { whole: sum('whole'), assets: sum('assets') });
  return edge.warm.some((one) => one.no_room) ? `${far} ${t('edges.noRoom')}` : far;
}
