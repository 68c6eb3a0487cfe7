import { TextInput } from '@mantine/core';
import type { QueryKey } from '@tanstack/react-query';
import { useState } from 'react';
import { useText } from '../text/TextProvider';
import { FormDialog } from './FormDialog';
import { useAct } from './useAct';

/** Asks for one name and does something with it. */
export function NameDialog(props: {
  title: string;
  action: string;
  name?: string;
  act: (name: string) => Promise<unknown>;
  done: string;
  touches: QueryKey[];
  close: () => void;
}) {
  const { t } = useText();
  const [name, setName] = useState(props.name ?? '');
  const save = useAct({
    act: () => props.act(name.trim()),
    done: props.done,
    touches: props.touches,
    after: props.close,
  });
  return (
    <FormDialog
      title={props.title}
      action={props.action}
      busy={save.isPending}
      submit={() => save.mutate()}
      close={props.close}
    >
      <TextInput
        label={t('field.name')}
        required
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
