import { Alert, Progress, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ShieldAlert, ShieldCheck } from 'lucide-react';
import type { Status } from '../../api/model';
import { statusQuery, systemQuery } from '../../api/queries';
import { Loaded } from '../../parts/Loaded';
import { ButtonLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { Section } from '../../parts/Section';
import { useText } from '../../text/TextProvider';
import { useMe } from '../shell/session';
import { Certificate } from './Certificate';
import { Cryptography } from './Cryptography';

/** How the node is: its disk, its keys, its versions. */
export function SystemPage() {
  const { t } = useText();
  const query = useQuery({ ...statusQuery, refetchInterval: 15_000 });
  return (
    <Page title={t('system.title')} narrow>
      <Loaded query={query}>{(status) => <Parts status={status} />}</Loaded>
    </Page>
  );
}

function Parts({ status }: { status: Status }) {
  const { t } = useText();
  const me = useMe();
  const system = useQuery(systemQuery).data;
  const facts: [string, string | undefined | null][] = [
    [t('system.node'), status.node.name],
    [t('system.site'), status.node.site],
    [t('system.version'), status.version ?? system?.version],
    [t('system.console'), system?.console],
    [t('system.cluster'), status.cluster],
    [t('system.fingerprint'), status.certificate_fingerprint ?? system?.certificate_fingerprint],
    [t('system.contact'), system?.security_contact],
  ];
  return (
    <>
      <Section title={t('system.disk')}>
        <Disk disk={status.disk} />
      </Section>
      <Section title={t('system.keys')}>
        {status.key_mode_warning ? (
          <Alert color="yellow" icon={<ShieldAlert size={18} />}>
            {status.key_mode === 'key_file' ? t('system.keyFile') : status.key_mode_warning}
          </Alert>
        ) : (
          <Alert icon={<ShieldCheck size={18} />}>{t('setup.sealed')}</Alert>
        )}
        {me.recovery_unconfirmed && (
          <Alert color="yellow" icon={<ShieldAlert size={18} />}>
            <Stack gap="xs" align="flex-start">
              {t('system.recoveryUnconfirmed')}
              <ButtonLink size="xs" variant="default" to="/setup">
                {t('setup.recoveryConfirm')}
              </ButtonLink>
            </Stack>
          </Alert>
        )}
      </Section>
      {me.user.admin && <Certificate />}
      {me.user.admin && <Cryptography />}
      <Section title={t('system.about')}>
        <dl className="facts">
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
      </Section>
    </>
  );
}

function Disk({ disk }: { disk: Status['disk'] }) {
  const { t, formats } = useText();
  const used = disk.total - disk.free;
  const share = disk.total === 0 ? 0 : (used / disk.total) * 100;
  const level = disk.level.toLowerCase().replace(/[^a-z]/g, '');
  return (
    <Stack gap="xs">
      <Progress
        value={share}
        size="lg"
        color={level === 'fine' ? undefined : 'red'}
        aria-label={t('system.diskUsed', { used: formats.bytes(used), total: formats.bytes(disk.total) })}
      />
      <Text size="sm" c="dimmed">
        {t('system.diskUsed', { used: formats.bytes(used), total: formats.bytes(disk.total) })}
      </Text>
      {level !== 'fine' && <Alert color="red">{t('problem.disk_full')}</Alert>}
    </Stack>
  );
}
