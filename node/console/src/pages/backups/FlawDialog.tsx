import { Modal, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { assetQuery } from '../../api/queries';
import { TextLink } from '../../parts/links';
import { useText } from '../../text/TextProvider';
import type { BackupRun } from './calls';
import { type Flaw, useRunText } from './useRunText';

/** What a run found wrong, one line each: whose file it is, what is wrong with it, and what it is called at the place. */
export function FlawDialog({ run, close }: { run: BackupRun; close: () => void }) {
  const { t } = useText();
  const { flawOf } = useRunText();
  const more = run.flaw_count - run.flaws.length;
  return (
    <Modal
      opened
      onClose={close}
      size="lg"
      title={t('backups.flaws', { count: run.flaw_count })}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <Stack>
        <Text size="sm">{t(run.kind === 'copy' ? 'backups.flawsOfCopy' : 'backups.flawsLead')}</Text>
        <ul className="plain-list flaws" aria-label={t('backups.flawList')}>
          {run.flaws.map((text) => (
            <FlawLine key={text} flaw={flawOf(text)} />
          ))}
        </ul>
        {more > 0 && (
          <Text size="sm" c="dimmed">
            {t('backups.flawsMore', { count: more })}
          </Text>
        )}
      </Stack>
    </Modal>
  );
}

function FlawLine({ flaw }: { flaw: Flaw }) {
  const { t } = useText();
  return (
    <li>
      <Text size="sm" fw={600}>
        {flaw.what}
      </Text>
      <Text size="sm">{flaw.asset ? <OfAsset id={flaw.asset} /> : t(flaw.kind)}</Text>
      {flaw.object && (
        <Text size="xs" c="dimmed" ff="monospace" className="breakable">
          {flaw.object}
        </Text>
      )}
    </li>
  );
}

/** By its title, while the asset is there. */
function OfAsset({ id }: { id: string }) {
  const { t } = useText();
  const asset = useQuery({ ...assetQuery(id), retry: false }).data;
  if (!asset) return t('backups.flaw.file');
  return (
    <TextLink to="/asset/$asset" params={{ asset: id }}>
      {t('backups.flaw.fileOf', { title: asset.title })}
    </TextLink>
  );
}
