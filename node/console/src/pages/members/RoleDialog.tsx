import { Checkbox, TextInput } from '@mantine/core';
import { useState } from 'react';
import * as api from '../../api/calls';
import { type Ability, abilityGroups, type CustomRole } from '../../api/model';
import { keys } from '../../api/queries';
import { FormDialog } from '../../parts/FormDialog';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { useMay } from '../shell/session';

const groups = Object.keys(abilityGroups) as (keyof typeof abilityGroups)[];

/** Abilities that are of no use to somebody who does not see all assets: the node adds that one to them. */
const seeing: Ability[] = [...abilityGroups.change, 'purge', 'hold', 'retention'];

/** The name of a role, and what it allows: nothing that whoever makes it may not do. */
export function RoleDialog(props: { app: string; role?: CustomRole; close: () => void }) {
  const { t } = useText();
  const may = useMay(props.app);
  const [name, setName] = useState(props.role?.name ?? '');
  const [abilities, setAbilities] = useState<Ability[]>(props.role?.abilities ?? ['watch']);
  const sees = abilities.some((one) => seeing.includes(one));
  const shown: Ability[] = sees && !abilities.includes('see_all') ? [...abilities, 'see_all'] : abilities;
  const save = useAct({
    act: () => api.setCustomRole(props.app, props.role?.id, { name: name.trim(), abilities }),
    done: t('saved'),
    touches: [keys.customRoles(props.app), keys.members(props.app), keys.invites(props.app), keys.apiKeys(props.app)],
    after: props.close,
  });
  return (
    <FormDialog
      title={props.role ? t('roles.changeWhat', { name: props.role.name }) : t('roles.new')}
      action={t('action.save')}
      busy={save.isPending}
      submit={() => save.mutate()}
      close={props.close}
      wide
    >
      <TextInput
        label={t('field.name')}
        description={
          props.role && props.role.holders > 0 ? t('roles.atOnce', { count: props.role.holders }) : undefined
        }
        required
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      {groups.map((group) => (
        <Checkbox.Group
          key={group}
          label={t(`roles.group.${group}`)}
          value={shown}
          onChange={(chosen) => setAbilities(chosen as Ability[])}
        >
          <div className="choices">
            {abilityGroups[group].map((ability) => {
              const implied = ability === 'see_all' && sees;
              return (
                <Checkbox
                  key={ability}
                  value={ability}
                  label={t(`ability.${ability}`)}
                  description={implied ? t('roles.implied') : undefined}
                  disabled={implied || (!may(ability) && !abilities.includes(ability))}
                  title={may(ability) ? undefined : t('roles.beyond')}
                />
              );
            })}
          </div>
        </Checkbox.Group>
      ))}
    </FormDialog>
  );
}
