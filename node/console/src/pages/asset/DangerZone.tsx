import { Button, Group, TextInput } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { Asset } from '../../api/model';
import { keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { FormDialog } from '../../parts/FormDialog';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { useMay } from '../shell/session';

/** Trash, restore, delete for ever, legal hold. */
export function DangerZone({ asset }: { asset: Asset }) {
  const { t } = useText();
  const may = useMay(asset.application);
  const confirm = useConfirm();
  const navigate = useNavigate();
  const touches = [keys.asset(asset.id), keys.assets(asset.application)];
  const trash = useAct({ act: () => api.actOnAsset(asset.id, 'trash'), done: t('danger.trashed'), touches });
  const restore = useAct({ act: () => api.actOnAsset(asset.id, 'restore'), done: t('danger.restored'), touches });
  const purge = useAct({
    act: () => api.actOnAsset(asset.id, 'purge'),
    done: t('danger.purged'),
    touches: [keys.assets(asset.application)],
    after: () =>
      void navigate({ to: '/a/$app/library', params: { app: asset.application }, search: { trashed: true } }),
  });
  const held = Boolean(asset.hold);
  const askPurge = async () => {
    const sure = await confirm({
      title: t('purge.title'),
      text: t('purge.manyText', { count: 1 }),
      action: t('purge.action'),
      dangerous: true,
      typed: asset.title,
    });
    if (sure) purge.mutate();
  };
  const whyNot = held ? t('why.held') : undefined;
  return (
    <Section title={t('danger.title')} lead={t('danger.lead')} dangerous>
      <Group>
        {asset.trashed_ms ? (
          <>
            <Button
              variant="default"
              disabled={!may('trash')}
              loading={restore.isPending}
              onClick={() => restore.mutate()}
            >
              {t('action.restore')}
            </Button>
            <Button
              color="red"
              variant="outline"
              disabled={!may('purge') || held}
              title={may('purge') ? whyNot : t('why.role')}
              loading={purge.isPending}
              onClick={() => void askPurge()}
            >
              {t('action.purge')}
            </Button>
          </>
        ) : (
          <Button
            color="red"
            variant="outline"
            disabled={!may('trash') || held}
            title={may('trash') ? whyNot : t('why.role')}
            loading={trash.isPending}
            onClick={() => trash.mutate()}
          >
            {t('action.trash')}
          </Button>
        )}
        <HoldButton asset={asset} mayHold={may('hold')} />
      </Group>
    </Section>
  );
}

function HoldButton({ asset, mayHold }: { asset: Asset; mayHold: boolean }) {
  const { t } = useText();
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState('');
  const touches = [keys.asset(asset.id)];
  const hold = useAct({
    act: () => api.actOnAsset(asset.id, 'hold', { reason: reason.trim() }),
    done: t('hold.done'),
    touches,
    after: () => setAsking(false),
  });
  const release = useAct({ act: () => api.actOnAsset(asset.id, 'release-hold'), done: t('hold.released'), touches });
  const why = mayHold ? undefined : t('why.role');
  if (asset.hold) {
    return (
      <Button
        variant="default"
        disabled={!mayHold}
        title={why}
        loading={release.isPending}
        onClick={() => release.mutate()}
      >
        {t('hold.release')}
      </Button>
    );
  }
  return (
    <>
      <Button variant="default" disabled={!mayHold} title={why} onClick={() => setAsking(true)}>
        {t('hold.action')}
      </Button>
      {asking && (
        <FormDialog
          title={t('hold.title')}
          action={t('hold.action')}
          busy={hold.isPending}
          submit={() => hold.mutate()}
          close={() => setAsking(false)}
        >
          <TextInput
            label={t('hold.reason')}
            description={t('hold.hint')}
            required
            data-autofocus
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
        </FormDialog>
      )}
    </>
  );
}
