import { Alert, Button, Group, PasswordInput, Textarea } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ShieldAlert } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { Certificate as CertificateFacts } from '../../api/model';
import { certificateQuery, keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { FormDialog } from '../../parts/FormDialog';
import { Loaded } from '../../parts/Loaded';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

/** The certificate browsers see: what it says, putting in one's own, going back to the node's. */
export function Certificate() {
  const { t } = useText();
  const query = useQuery(certificateQuery);
  const [installing, setInstalling] = useState(false);
  return (
    <Section title={t('certificate.title')} lead={t('certificate.lead')}>
      <Loaded query={query}>{(found) => <Facts certificate={found} install={() => setInstalling(true)} />}</Loaded>
      {installing && <InstallDialog close={() => setInstalling(false)} />}
    </Section>
  );
}

function Facts({ certificate, install }: { certificate: CertificateFacts; install: () => void }) {
  const { t, formats } = useText();
  const confirm = useConfirm();
  const remove = useAct({ act: api.removeCertificate, done: t('certificate.removed'), touches: [keys.certificate] });
  const ask = async () => {
    const sure = await confirm({
      title: t('certificate.removeTitle'),
      text: t('certificate.removeText'),
      action: t('action.remove'),
      dangerous: true,
    });
    if (sure) remove.mutate();
  };
  const own = certificate.source === 'own';
  const facts: [string, string][] = [
    [t('certificate.source'), own ? t('certificate.own') : t('certificate.installed')],
    [t('certificate.subject'), certificate.subject],
    [t('certificate.issuer'), certificate.issuer],
    [t('certificate.names'), certificate.names.join(', ')],
    [t('certificate.until'), formats.dateTime(certificate.not_after_ms)],
    [t('certificate.key'), certificate.key],
    [t('system.fingerprint'), certificate.fingerprint],
  ];
  return (
    <>
      {certificate.warnings.map((warning) => (
        <Alert key={warning.code} color="yellow" icon={<ShieldAlert size={18} />}>
          {warning.detail}
        </Alert>
      ))}
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Group justify="flex-end">
        {!own && (
          <Button variant="default" color="red" onClick={() => void ask()} loading={remove.isPending}>
            {t('action.remove')}
          </Button>
        )}
        <Button variant="default" onClick={install}>
          {t('certificate.install')}
        </Button>
      </Group>
    </>
  );
}

function InstallDialog({ close }: { close: () => void }) {
  const { t } = useText();
  const [chain, setChain] = useState('');
  const [key, setKey] = useState('');
  const install = useAct({
    act: () => api.installCertificate(chain, key),
    done: t('certificate.done'),
    touches: [keys.certificate, keys.status],
    after: close,
  });
  return (
    <FormDialog
      title={t('certificate.install')}
      action={t('certificate.install')}
      busy={install.isPending}
      submit={() => install.mutate()}
      close={close}
    >
      <Textarea
        label={t('certificate.chain')}
        description={t('certificate.chainHelp')}
        value={chain}
        onChange={(event) => setChain(event.currentTarget.value)}
        minRows={5}
        maxRows={10}
        autosize
        required
        spellCheck={false}
      />
      <KeyField value={key} change={setKey} />
    </FormDialog>
  );
}

/** Several lines that are not shown: pasted, they stay as they are. */
function KeyField({ value, change }: { value: string; change: (value: string) => void }) {
  const { t } = useText();
  return (
    <PasswordInput
      label={t('certificate.privateKey')}
      description={t('certificate.privateKeyHelp')}
      value={value}
      onPaste={(event) => {
        // A one-line field would drop the line ends that PEM needs.
        event.preventDefault();
        change(event.clipboardData.getData('text'));
      }}
      onChange={(event) => change(event.currentTarget.value)}
      autoComplete="off"
      required
    />
  );
}
