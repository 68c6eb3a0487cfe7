import { Alert, Button, Group, Loader, Modal, Paper, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { CircleCheck } from 'lucide-react';
import { useEffect, useState } from 'react';
import * as api from '../../api/calls';
import type { Cluster, JoinToken } from '../../api/model';
import { CopyField } from '../../parts/CopyField';
import { useProblemText } from '../../parts/problemText';
import { clock } from '../../text/formats';
import { useText } from '../../text/TextProvider';

/** Makes a one-use token, shows what is in it and how long it lasts, and the node as soon as it arrives. */
export function JoinDialog({ cluster, close }: { cluster: Cluster; close: () => void }) {
  const { t } = useText();
  const problemText = useProblemText();
  const [known] = useState(() => new Set(cluster.nodes.map((node) => node.id)));
  const make = useMutation({ mutationFn: api.createJoinToken });
  const arrived = cluster.nodes.filter((node) => !known.has(node.id));
  return (
    <Modal
      opened
      onClose={close}
      title={t('cluster.join')}
      size="lg"
      closeOnClickOutside={false}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <Stack>
        <Text size="sm">{t('cluster.joinLead')}</Text>
        {make.isError && (
          <Alert color="red" role="alert">
            {problemText(make.error)}
          </Alert>
        )}
        {make.data && <Token token={make.data} used={arrived.length > 0} />}
        {arrived.map((node) => (
          <Alert key={node.id} color="green" icon={<CircleCheck size={18} />} role="status">
            {t('cluster.arrived', { name: node.name, site: node.site })}
          </Alert>
        ))}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            {t('action.close')}
          </Button>
          {(!make.data || arrived.length > 0) && (
            <Button loading={make.isPending} onClick={() => make.mutate()}>
              {t('cluster.makeToken')}
            </Button>
          )}
        </Group>
      </Stack>
    </Modal>
  );
}

function Token({ token, used }: { token: JoinToken; used: boolean }) {
  const { t } = useText();
  const left = useSecondsUntil(token.expires_ms);
  if (used) return null;
  return (
    <>
      <Alert color="yellow">{t('secret.once')}</Alert>
      <Paper withBorder p="md" className="secret">
        <CopyField value={`mediakeep run --join ${token.token}`} label={t('cluster.token')} />
      </Paper>
      <dl className="facts facts-list">
        <div>
          <dt>{t('cluster.fingerprint')}</dt>
          <dd className="mono-input">{token.fingerprint}</dd>
        </div>
        <div>
          <dt>{t('cluster.addresses')}</dt>
          <dd>{token.addresses.join(', ')}</dd>
        </div>
      </dl>
      {left > 0 ? (
        <Group gap="sm" role="status">
          <Loader size="xs" aria-hidden="true" />
          <Text size="sm">
            {t('cluster.waiting')} <span aria-hidden="true">{t('upload.left', { time: clock(left) })}</span>
          </Text>
        </Group>
      ) : (
        <Alert color="red" role="status">
          {t('cluster.tokenOver')}
        </Alert>
      )}
    </>
  );
}

/** Counts down once a second, and stays at 0. */
function useSecondsUntil(ms: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return Math.max(0, (ms - now) / 1000);
}
