import { NativeSelect } from '@mantine/core';
import { type Role, roles } from '../api/model';
import { useText } from '../text/TextProvider';

/** One of the four roles; says what each may do. */
export function RoleSelect(props: {
  value: Role;
  onChange: (role: Role) => void;
  label?: string;
  ariaLabel?: string;
  disabled?: boolean;
}) {
  const { t } = useText();
  return (
    <NativeSelect
      label={props.label}
      aria-label={props.ariaLabel}
      description={props.label ? t(`role.${props.value}.help`) : undefined}
      value={props.value}
      disabled={props.disabled}
      data={roles.map((role) => ({ value: role, label: t(`role.${role}`) }))}
      onChange={(event) => props.onChange(event.currentTarget.value as Role)}
    />
  );
}
