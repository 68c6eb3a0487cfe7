import { NumberInput } from '@mantine/core';
import { useState } from 'react';
import * as api from '../../api/calls';
import { Problem } from '../../api/client';
import type { Collection } from '../../api/model';
import { keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { FormDialog } from '../../parts/FormDialog';
import { useToasts } from '../../parts/Toasts';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

/** How many assets the node said a rule would delete at once; `null` for another problem. */
const wouldEnd = (error: unknown) =>
  error instanceof Problem && error.code === 'would_end' ? Number(/^\d+/.exec(error.detail ?? '')?.[0] ?? 1) : null;

/** How long the assets of a collection are kept. Asks before anything is deleted by it at once. */
export function RetentionDialog(props: { app: string; collection: Collection; close: () => void }) {
  const { t } = useText();
  const confirm = useConfirm();
  const toasts = useToasts();
  const [days, setDays] = useState<number | null>(props.collection.retention_days ?? null);
  const save = useAct({
    act: (deleteOverdue: boolean) => api.setRetention(props.collection.id, days, deleteOverdue),
    done: t('saved'),
    touches: [keys.collections(props.app), keys.assets(props.app)],
    after: props.close,
    failed: (error) => {
      const count = wouldEnd(error);
      if (count === null) toasts.failed(error);
      else void ask(count);
    },
  });
  const ask = async (count: number) => {
    const sure = await confirm({
      title: t('collections.retentionTitle'),
      text: t('collections.retentionText', { count }),
      action: t('collections.retentionDelete'),
      dangerous: true,
      typed: props.collection.name,
    });
    if (sure) save.mutate(true);
  };
  return (
    <FormDialog
      title={t('collections.retentionWhat', { name: props.collection.name })}
      action={t('action.save')}
      busy={save.isPending}
      submit={() => save.mutate(false)}
      close={props.close}
    >
      <NumberInput
        label={t('collections.retentionDays')}
        description={t('collections.retentionHint')}
        placeholder={t('collections.retentionNone')}
        min={1}
        max={36_500}
        allowDecimal={false}
        hideControls
        data-autofocus
        value={days ?? ''}
        onChange={(value) => setDays(value === '' ? null : Number(value))}
      />
    </FormDialog>
  );
}
