import { Button, Group, Text } from '@mantine/core';
import * as api from '../../api/calls';
import type { Cluster } from '../../api/model';
import { keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

/** The key everything is wrapped under and the authority nodes know one another by, and the exchange of either. */
export function KeysSection({ cluster }: { cluster: Cluster }) {
  const { t } = useText();
  return (
    <Section title={t('cluster.keys')} lead={t('cluster.keysLead')}>
      <ClusterKey cluster={cluster} />
      {cluster.authority && <Authority authority={cluster.authority} />}
    </Section>
  );
}

function ClusterKey({ cluster }: { cluster: Cluster }) {
  const { t } = useText();
  const { epoch, rotating, waiting } = cluster.key;
  const confirm = useConfirm();
  const rotate = useAct({
    act: (inForce: number) => api.rotateClusterKey(inForce),
    done: t('cluster.keyRotated'),
    touches: [keys.cluster],
  });
  const ask = async () => {
    const question = {
      title: t('cluster.rotateKey'),
      text: t('cluster.rotateKeyText'),
      action: t('cluster.rotateKey'),
    };
    if (await confirm(question)) rotate.mutate(epoch);
  };
  return (
    <Group justify="space-between" align="flex-start">
      <div className="grow-min">
        <Text fw={600}>{t('cluster.keyNumber', { number: epoch })}</Text>
        <Text size="sm" c="dimmed" role="status">
          {rotating ? t('cluster.keyWaits', { count: waiting }) : t('cluster.keySettled')}
        </Text>
      </div>
      <Button variant="default" onClick={() => void ask()} loading={rotate.isPending} disabled={rotating}>
        {t('cluster.rotateKey')}
      </Button>
    </Group>
  );
}

function Authority({ authority }: { authority: NonNullable<Cluster['authority']> }) {
  const { t } = useText();
  const { fingerprint, former } = authority;
  const confirm = useConfirm();
  const touches = [keys.cluster];
  const replace = useAct({ act: api.replaceAuthority, done: t('cluster.authorityReplaced'), touches });
  const abandon = useAct({ act: api.abandonAuthority, done: t('cluster.authorityAbandoned'), touches });
  const act = former ? abandon : replace;
  const name = former ? t('cluster.abandonAuthority') : t('cluster.replaceAuthority');
  const text = former ? t('cluster.abandonAuthorityText') : t('cluster.replaceAuthorityText');
  const ask = async () => {
    if (await confirm({ title: name, text, action: name })) act.mutate(fingerprint);
  };
  const waits = (former?.waits_for ?? []).map((who) => who.name);
  return (
    <Group justify="space-between" align="flex-start">
      <div className="grow-min">
        <Text fw={600}>{t('cluster.authority')}</Text>
        <Text size="sm" className="breakable" ff="monospace">
          {fingerprint}
        </Text>
        <Text size="sm" c="dimmed" role="status">
          {former ? t('cluster.authorityWaits', { names: waits.join(', ') || '…' }) : t('cluster.authoritySettled')}
        </Text>
      </div>
      <Button variant="default" onClick={() => void ask()} loading={act.isPending}>
        {name}
      </Button>
    </Group>
  );
}
