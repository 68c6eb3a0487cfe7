import { Button, Group, Paper, Progress, Text } from '@mantine/core';
import * as api from '../../api/calls';
import type { ClusterNode } from '../../api/model';
import { keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';

const colors = { joining: 'blue', active: 'green', draining: 'yellow' } as const;

/** One node: what it is, how it does, and how it leaves. */
export function NodeCard({ node, last }: { node: ClusterNode; last: boolean }) {
  const { t, formats } = useText();
  const state = node.alive ? colors[node.state] : 'red';
  const facts: [TextKey, string][] = [
    ['cluster.role', t(`cluster.role.${node.role}` as TextKey)],
    ['cluster.contact', contact(node, t)],
    ['system.version', node.version ?? ''],
    ['cluster.up', node.up_ms == null ? '' : formats.relative(-node.up_ms, 0)],
    ['cluster.publicAddress', node.public_address],
    ['cluster.clusterAddress', node.cluster_address],
    ['field.created', formats.dateTime(node.added_ms)],
  ];
  return (
    <Paper withBorder p="md" component="li" className="card" aria-label={node.name}>
      <Group justify="space-between" wrap="nowrap" gap="sm">
        <Text fw={600} className="breakable">
          {node.name}
        </Text>
        <span className={`state state-${state}`}>
          {node.alive ? t(`cluster.state.${node.state}` as TextKey) : t('cluster.state.silent')}
        </span>
      </Group>
      <dl className="facts node-facts">
        {facts.map(
          ([name, value]) =>
            value && (
              <div key={name}>
                <dt>{t(name)}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      <Disk node={node} />
      <Leaving node={node} />
      <NodeButtons node={node} last={last} />
    </Paper>
  );
}

/** How full its disk is; nothing while it does not say. */
function Disk({ node }: { node: ClusterNode }) {
  const { t, formats } = useText();
  if (node.disk_total == null || node.disk_free == null || node.disk_total === 0) return null;
  const used = node.disk_total - node.disk_free;
  const text = t('system.diskUsed', { used: formats.bytes(used), total: formats.bytes(node.disk_total) });
  const share = (used / node.disk_total) * 100;
  return (
    <div className="node-disk">
      <Progress value={share} size="sm" aria-label={text} />
      <Text size="xs" c="dimmed" mt={4}>
        {text}
      </Text>
    </div>
  );
}

/** What a node that is being emptied still holds. */
function Leaving({ node }: { node: ClusterNode }) {
  const { t } = useText();
  if (node.assets_left == null) return null;
  const written = node.assets_written ?? 0;
  return (
    <Text size="sm" mt="xs" role="status">
      {node.assets_left === 0 ? t('cluster.empty') : t('cluster.left', { count: node.assets_left })}
      {written > 0 && ` ${t('cluster.leftWritten', { count: written })}`}
    </Text>
  );
}

function contact(node: ClusterNode, t: ReturnType<typeof useText>['t']): string {
  if (node.silent_ms == null) return t('cluster.contactNever');
  const seconds = Math.round(node.silent_ms / 1000);
  if (seconds < 2) {
    return node.round_trip_ms == null
      ? t('cluster.contactNow')
      : t('cluster.contactIn', { time: Math.round(node.round_trip_ms * 10) / 10 });
  }
  return t('cluster.contactAgo', { count: seconds });
}

function NodeButtons({ node, last }: { node: ClusterNode; last: boolean }) {
  const { t } = useText();
  const confirm = useConfirm();
  const touches = [keys.cluster];
  const drain = useAct({
    act: (draining: boolean) => api.drainNode(node.id, draining),
    done: t('saved'),
    touches,
  });
  const remove = useAct({ act: () => api.removeNode(node.id), done: t('cluster.removed'), touches });
  const draining = node.state === 'draining';
  const askDrain = async () => {
    const question = { title: t('cluster.drainTitle', { name: node.name }), text: t('cluster.drainText') };
    if (draining || (await confirm({ ...question, action: t('cluster.drain') }))) drain.mutate(!draining);
  };
  const askRemove = async () => {
    const sure = await confirm({
      title: t('cluster.removeTitle', { name: node.name }),
      text: t('cluster.removeText'),
      action: t('action.remove'),
      dangerous: true,
      typed: node.name,
    });
    if (sure) remove.mutate();
  };
  const why = last ? t('cluster.lastNode') : undefined;
  return (
    <Group gap={4} mt="sm">
      <Button
        size="xs"
        variant="default"
        disabled={last}
        title={why}
        loading={drain.isPending}
        onClick={() => void askDrain()}
        aria-label={t(draining ? 'cluster.undrainWhat' : 'cluster.drainWhat', { name: node.name })}
      >
        {draining ? t('cluster.undrain') : t('cluster.drain')}
      </Button>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        disabled={last}
        title={why}
        loading={remove.isPending}
        onClick={() => void askRemove()}
        aria-label={t('cluster.removeWhat', { name: node.name })}
      >
        {t('action.remove')}
      </Button>
    </Group>
  );
}
